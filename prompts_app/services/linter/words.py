"""Word lists of both languages. Each becomes one pattern, so that a text is walked once per list."""

import re
from collections.abc import Iterable


def _pattern(english: Iterable[str], chinese: Iterable[str] = ()) -> re.Pattern[str]:
    words = "|".join(re.escape(word).replace(r"\ ", r"[ \n]") for word in sorted(english, key=len, reverse=True))
    characters = "|".join(sorted(map(re.escape, chinese), key=len, reverse=True))
    parts = [rf"(?<![\w-])(?:{words})(?![\w-])", *([f"(?:{characters})"] if characters else [])]
    return re.compile("|".join(parts), re.IGNORECASE)


# 302: words that everybody understands differently. Common words with a plain meaning ("good", "some") stay out.
VAGUE = _pattern(
    [
        "appropriate",
        "appropriately",
        "as appropriate",
        "as needed",
        "as necessary",
        "if appropriate",
        "where appropriate",
        "suitable",
        "suitably",
        "high quality",
        "high-quality",
        "good quality",
        "best quality",
        "top-notch",
        "world-class",
        "state-of-the-art",
        "cutting-edge",
        "user-friendly",
        "nice",
        "nicely",
        "interesting",
        "engaging",
        "properly",
        "reasonable",
        "reasonably",
        "adequate",
        "adequately",
        "sufficiently",
        "as soon as possible",
        "as much as possible",
        "as short as possible",
        "not too long",
        "not too short",
        "a bit",
        "somewhat",
        "fairly",
        "quite a few",
        "various things",
        "and so on",
        "and so forth",
        "etc",
        "or something",
        "stuff",
        "kind of",
        "sort of",
    ],
    [
        "适当",
        "合适的",
        "恰当的",
        "酌情",
        "尽量",
        "尽可能",
        "高质量",
        "优质",
        "有趣的",
        "吸引人",
        "差不多",
        "大概",
        "之类的",
        "等等",
        "不要太长",
        "不要太短",
        "稍微",
        "若干",
        "相关的一些",
        "高大上",
    ],
)
# What makes a vague word clear again: a bracket, a colon or a figure soon after it, in the same line.
DEFINED = re.compile(r"[^\n]{0,40}?[(（:：\d]")

# 303: any of these says what the answer should look like.
OUTPUT_FORM = _pattern(
    [
        "json",
        "yaml",
        "xml",
        "csv",
        "html",
        "markdown",
        "table",
        "list",
        "bullet",
        "bullets",
        "bullet points",
        "numbered",
        "format",
        "schema",
        "paragraph",
        "paragraphs",
        "sentence",
        "sentences",
        "heading",
        "headings",
        "words",
        "characters",
        "lines",
        "output",
        "code block",
        "one word",
        "single word",
        "yes or no",
        "answer with",
        "answer only",
        "answer in",
        "reply with",
        "reply only",
        "respond with",
        "respond only",
        "respond in",
        "return only",
        "return the",
        "nothing else",
    ],
    [
        "格式",
        "输出",
        "返回",
        "列表",
        "表格",
        "代码块",
        "段落",
        "只回答",
        "只回复",
        "个字",
        "字以内",
        "字左右",
        "句话",
        "条列",
        "编号",
        "标题",
        "只写",
        "只给出",
    ],
)

# 203: sentences that try to take over.
OVERRIDE = re.compile(
    r"\b(?:ignore|disregard|forget|override)[ ]{1,3}(?:all[ ]|any[ ]|the[ ]|your[ ]|my[ ]|of[ ]|these[ ]|those[ ]){0,4}"
    r"(?:previous|prior|above|earlier|preceding|system|other)[ ]{1,3}"
    r"(?:instructions?|prompts?|rules?|messages?|directions?)"
    r"|\byou[ ]are[ ]now[ ](?:dan|in[ ]developer[ ]mode|unrestricted)"
    r"|(?:忽略|无视|忘记|忘掉)(?:以上|上面|之前|前面|此前|先前|上述)?(?:的)?(?:所有|全部|一切)?(?:的)?"
    r"(?:以上|上面|之前|前面|此前|先前|上述|系统)(?:的)?(?:所有|全部|一切)?(?:的)?(?:指令|指示|提示词|提示|规则|要求|设定)",
    re.IGNORECASE,
)

# 604: what was to be filled in.
LEFTOVER = re.compile(
    r"\{\{[^{}\n]{0,80}\}\}"
    r"|(?i:\[(?:insert|your|add|enter|fill in|name of|todo|tbd|placeholder)\b[^\]\n]{0,60}\](?!\())"
    r"|(?i:<(?:insert|your|placeholder)\b[^<>\n]{0,60}>)"
    r"|(?i:\blorem ipsum\b)"
    r"|(?<![\w.-])(?:TODO|TBD|FIXME|XXX)(?![\w-])"
    r"|[\[【（(](?:请)?(?:在此|此处|这里)?(?:填写|插入|补充|输入|填入)[^\]】）)\n]{0,40}[\]】）)]"
    r"|待补充|待填写|此处省略",
)
# 605: the writer's tool speaking of itself.
BOILERPLATE = re.compile(
    r"\b(?:as|i am|i'm|i’m)[ ](?:an?[ ])?(?:ai[ ]|artificial intelligence[ ]|large[ ])?"
    r"(?:language model|ai assistant|ai model)\b"
    r"|\bas an ai\b"
    r"|\bmy (?:knowledge|training) cut-?off\b"
    r"|\bi(?:'m|’m| am) sorry, but i (?:can't|can’t|cannot)\b"
    r"|\bi (?:can't|can’t|cannot) (?:assist|help) with (?:that|this)\b"
    r"|^(?:sure|certainly|of course|absolutely)[!,.][ ](?:here(?:'s|’s| is| are)|i(?:'d|’d| would) be)\b"
    r"|\bi hope this helps\b"
    r"|\blet me know if you (?:have|need|would like)\b"
    r"|作为(?:一个|一款|一名)?[ ]?(?:大型|大)?(?:AI|人工智能|语言模型)"
    r"|我(?:只)?是(?:一个|一款|一名)?[ ]?(?:大型|大)?(?:AI|人工智能|语言模型)"
    r"|^(?:好的|当然(?:可以)?|没问题)[，,！!。](?:以下|下面|这里|这是)"
    r"|希望(?:这|以上|这些)?(?:内容)?(?:能)?对[您你]有(?:所)?帮助",
    re.IGNORECASE | re.MULTILINE,
)
