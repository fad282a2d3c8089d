"""The rules, sentence by sentence, in both languages."""

import time
from typing import Any

import pytest
from django.test import override_settings
from hypothesis import given
from hypothesis import strategies as st

from tasks_app.contracts import Route
from tasks_app.router import current_router
from tasks_app.router.rules import RuleRouter

LONG_EN = (
    "The sea was calm that morning, and nobody on the pier expected what came next. Boats lay still.\n\n"
    "By noon the wind had turned. The fishermen, who had laughed at the forecast, ran to their lines, and the "
    "children watched from the wall with the wide eyes of people who will tell this for years.\n\n"
    "It was over in an hour. What was left on the beach was mostly wood, some rope, and a silence that the town "
    "had never heard before. Nobody spoke of it at supper, and yet nobody spoke of anything else. The next day "
    "they began to count what was missing, and found that it was less than they had feared."
)
LONG_ZH = (
    "那天早晨海面很平静，码头上没有人料到接下来会发生什么。船静静地停着，像一排睡着的人。\n\n"
    "到了中午，风向变了。那些嘲笑天气预报的渔民跑向自己的缆绳，孩子们站在墙头，睁大眼睛看着这一切，"
    "仿佛知道自己会把它讲上许多年。海浪一次比一次高，把去年才修好的木栈道一块一块地拆走。\n\n"
    "一小时后，一切都结束了。沙滩上剩下的大多是木头、几段绳子，还有一种小镇从未听过的安静。晚饭时没有人提起它，"
    "可是也没有人谈别的。第二天，人们开始清点丢失的东西，发现比想象的要少。大家这才松了一口气，开始修补屋顶和渔网。"
)
BRIEF_EN = (
    "I want an article about remote work. Audience: managers of small firms.\n\n"
    "Say how to run meetings, how to hire, and what it costs. Give three examples, keep a friendly tone, "
    "and end with a checklist. " + "Mention time zones and written decisions. " * 8
)

TABLE = [
    # An article, with something to write about.
    ("I want an article about electric bikes", "article", "A"),
    ("Write an article on the history of tea", "article", "A"),
    ("write a blog post about why sleep matters", "article", "A"),
    ("Please draft a newsletter covering our spring release", "article", "A"),
    ("Can you write an essay regarding Hannah Arendt?", "article", "A"),
    ("I'd like a short story about a lighthouse keeper", "article", "A"),
    ("Create a 900-word article titled Living Without a Car", "article", "A"),
    ("a climate change article", "article", "A"),
    ("Press release: we open a second bakery in Leeds", "article", "A"),
    ("write an article about prompt engineering for teachers", "article", "A"),
    (BRIEF_EN, "article", "A"),
    ("我想要一篇关于电动自行车的文章", "article", "A"),
    ("帮我写一篇介绍杭州美食的公众号文章", "article", "A"),
    ("写一篇博客，主题是远程办公", "article", "A"),
    ("请写一篇800字的作文，题目《我的老师》", "article", "A"),
    ("以春天为题写一篇散文", "article", "A"),
    ("写一篇关于提示词工程的文章", "article", "A"),
    ("来一篇人工智能科普文", "article", "A"),
    ("新闻稿：公司在上海开设第二家门店", "article", "A"),
    ("给我写个关于猫咪侦探的故事", "article", "A"),
    # An article, with nothing to write about.
    ("I want an article", "article", "B"),
    ("write me a blog post", "article", "B"),
    ("Please write a good article for my blog", "article", "B"),
    ("I need an article about something interesting", "article", "B"),
    ("Write a 500-word essay, any topic", "article", "B"),
    ("I need a newsletter but I don't know what to write about", "article", "B"),
    ("a blog post please, surprise me", "article", "B"),
    ("我想要一篇文章", "article", "B"),
    ("帮我写一篇公众号文章", "article", "B"),
    ("写篇短文，主题你来定", "article", "B"),
    ("我要写一篇博客，但是还没想好主题", "article", "B"),
    ("随便写一篇文章吧", "article", "B"),
    ("请给我一篇800字的文章", "article", "B"),
    # A text to rewrite.
    ("Polish this: the cat sat on mat and it were happy.", "article", "C"),
    ("polish this article:\n" + LONG_EN, "article", "C"),
    ("Rewrite the following text to be shorter:\n\n" + LONG_EN, "article", "C"),
    ("Please improve my essay.\n\n" + LONG_EN, "article", "C"),
    (LONG_EN + "\n\nMake it shorter: please condense this.", "article", "C"),
    ("Review and improve this:\n\n" + LONG_EN, "article", "C"),
    ("Rephrase “We regret to inform you that your parcel has been lost somewhere on its way to you.”", "article", "C"),
    ("```\n" + LONG_EN + "\n```\nplease make this text simpler, edit freely", "article", "C"),
    ("> the cat sat on mat\n> and it were happy\n\npolish please", "article", "C"),
    (LONG_EN, "article", "C"),
    ("润色：今天天气很好我们去了公园玩的很开心。", "article", "C"),
    ("请改写下面这段话：\n" + LONG_ZH, "article", "C"),
    ("帮我优化这篇文章：" + LONG_ZH, "article", "C"),
    ("把“我们很遗憾地通知您，您的包裹在运输途中丢失了，目前仍在查找。”改得更客气", "article", "C"),
    (LONG_ZH, "article", "C"),
    (LONG_ZH + "\n\n请精简到一百字", "article", "C"),
    # A text to review only.
    ("Proofread this: Their going too the market tomorow.", "article", "D"),
    ("Please review the following article:\n\n" + LONG_EN, "article", "D"),
    ("check the grammar of this text:\n" + LONG_EN, "article", "D"),
    ("Find the mistakes in this:\n```\n" + LONG_EN + "\n```", "article", "D"),
    ("校对：他门昨天去了图书管。", "article", "D"),
    ("请审校下面的稿件：\n" + LONG_ZH, "article", "D"),
    ("帮我检查一下错别字：" + LONG_ZH, "article", "D"),
    ("审阅这篇文章\n\n" + LONG_ZH, "article", "D"),
    # Prompts.
    ("I want a prompt that summarises meeting notes", "prompt", "A"),
    ("Write a system prompt for a support bot", "prompt", "A"),
    ("I need a system message for a polite tutor", "prompt", "A"),
    ("a prompt for writing blog posts", "prompt", "A"),
    ("Create an LLM prompt to classify e-mails", "prompt", "A"),
    ("我想要一个总结会议纪要的提示词", "prompt", "A"),
    ("帮我写一个写文章的提示词", "prompt", "A"),
    ("设计一个客服机器人的系统提示", "prompt", "A"),
    ("写一个 prompt，用来翻译合同", "prompt", "A"),
    ("Improve this prompt: You are a helpful assistant. Answer.", "prompt", "C"),
    ("优化这个提示词：你是一名翻译，请翻译。", "prompt", "C"),
    ("Review this prompt:\n```\nYou are a lawyer. Summarise {{contract}}.\n```", "prompt", "D"),
    ("Polish this: You are a helpful assistant that answers in rhymes.", "prompt", "C"),
    # The rest.
    ("What is the capital of France?", "general", "A"),
    ("Plan a weekend in Kyoto", "general", "A"),
    ("Translate good morning into Italian", "general", "A"),
    ("I need a prompt reply to my landlord", "general", "A"),
    ("Explain how vaccines work", "general", "A"),
    ("hello", "general", "A"),
    ("Review this code:\n```python\nprint('hi')\n```", "general", "D"),
    ("法国的首都是哪里？", "general", "A"),
    ("帮我安排京都两日游", "general", "A"),
    ("用三句话解释量子纠缠", "general", "A"),
    ("你好", "general", "A"),
]


@pytest.mark.parametrize(("text", "workspace", "stage"), TABLE)
def test_route(text: str, workspace: str, stage: str) -> None:
    route = RuleRouter().route(text)
    assert (route.workspace_key, route.stage) == (workspace, stage), route


def test_table_is_large_and_bilingual() -> None:
    assert len(TABLE) >= 60
    chinese = [text for text, _workspace, _stage in TABLE if any("一" <= character <= "鿿" for character in text)]
    assert len(chinese) >= 25


@pytest.mark.parametrize(
    ("text", "instruction", "original"),
    [
        ("Polish this: the cat sat.", "Polish this", "the cat sat."),
        ("polish\n```text\nthe cat sat.\n```\nin British English", "polish\nin British English", "the cat sat."),
        ("> the cat\n> sat\n\nrewrite it", "rewrite it", "the cat\nsat"),
        ("润色：今天天气很好。", "润色", "今天天气很好。"),
        ("I want an article about tea", "I want an article about tea", ""),
        (LONG_EN, "", LONG_EN),
        ("Please review this.\n\n" + LONG_EN, "Please review this.", LONG_EN),
    ],
)
def test_instruction_and_original_are_split(text: str, instruction: str, original: str) -> None:
    route = RuleRouter().route(text)
    assert (route.instruction, route.original) == (instruction, original)


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("I want an article about electric bikes", "Electric bikes"),
        ("please write a blog post on tea.", "Tea"),
        ("我想要一篇关于电动自行车的文章", "电动自行车"),
        ("What is the capital of France?", "What is the capital of France?"),
        ("polish this: the cat sat", "Polish this"),
        ("# My trip\n\n" + LONG_EN, "My trip"),
        ("I want an article about " + "very " * 40 + "long things", None),
    ],
)
def test_title_names_the_topic(text: str, title: str | None) -> None:
    found = RuleRouter().route(text).title
    assert found == title if title else len(found) <= 80 and found.endswith("…")


@pytest.mark.parametrize("workspace", ["article", "prompt", "general"])
def test_preferred_workspace_wins(workspace: str) -> None:
    route = RuleRouter().route("I want a prompt that writes articles", preferred_workspace=workspace)
    assert route.workspace_key == workspace


@pytest.mark.parametrize(
    ("text", "stage"), [("Coffee in Ethiopia", "A"), ("something nice", "B"), ("埃塞俄比亚的咖啡", "A"), ("随便", "B")]
)
def test_preferred_article_without_the_word_still_looks_for_a_topic(text: str, stage: str) -> None:
    assert RuleRouter().route(text, preferred_workspace="article").stage == stage


@pytest.mark.parametrize(
    ("text", "language"), [("an article about tea", "en"), ("写一篇关于茶的文章", "zh-hans"), ("123", "en")]
)
def test_language_of_the_input_is_told(text: str, language: str) -> None:
    assert RuleRouter().route(text).language == language


@given(st.text(min_size=1, max_size=2000))
def test_every_text_has_a_route(text: str) -> None:
    route = RuleRouter().route(text)
    assert route.workspace_key in {"article", "prompt", "general"}
    assert route.stage in set("ABCD")
    assert len(route.title) <= 81


def seconds(text: str) -> float:
    """Return the least CPU time of three: what others do on the machine does not count."""

    def once() -> float:
        began = time.thread_time()
        RuleRouter().route(text)
        return time.thread_time() - began

    return min(once() for _attempt in range(3))


@pytest.mark.timeout(60, func_only=True)
@pytest.mark.parametrize("unit", ["a ", "“", '"x', "> \n", "```\n", "润色：", "I want ", "一", "\n\n", "polish:"])
def test_eight_times_the_input_takes_nowhere_near_sixty_four_times_as_long(unit: str) -> None:
    text = (unit * 100_000)[:100_000]
    small, large = seconds(text[:12_500]), seconds(text)
    assert large < 32 * small + 0.05, f"{large / small:.1f} times"


class EverythingIsGeneral:
    """A stand-in for a classifier."""

    def route(self, input_text: str, *, preferred_workspace: str = "") -> Route:
        return Route("general", "A", "t", input_text, "", "en", "classifier")


@override_settings(TASK_ROUTER=f"{__name__}.EverythingIsGeneral")
def test_setting_replaces_the_router() -> None:
    router: Any = current_router()
    assert router.route("an article about tea").reason == "classifier"
