"""The words that the rules look for, in English and Chinese."""

import re


def _english(*words: str) -> str:
    return r"\b(?:" + "|".join(words) + r")\b"


def _pattern(english: str, chinese: str) -> re.Pattern[str]:
    return re.compile(f"(?:{english}|{chinese})", re.IGNORECASE)


CJK = re.compile(r"[㐀-䶿一-鿿]")

REWRITE = _pattern(
    _english(
        r"polish(?:es|ed|ing)?",
        r"re-?writ(?:e|es|ing)",
        r"re-?phras(?:e|es|ing)",
        r"paraphras(?:e|es|ing)",
        r"improv(?:e|es|ing)",
        r"edit",
        r"shorten",
        r"condense",
        r"tighten",
        r"expand",
        r"simplify",
        r"smooth out",
        r"refine",
        r"re-?work",
        r"optimi[sz]e",
        r"make (?:it|this) (?:better|shorter|longer|clearer|simpler)",
    ),
    "润色|改写|重写|优化|改进|改善|修改|扩写|缩写|精简|改一改|改得|提炼",
)
REVIEW = _pattern(
    _english(
        r"review(?:s|ing)?",
        r"proof-?read(?:ing)?",
        r"check(?:ing)?",
        r"critiqu(?:e|ing)",
        r"find (?:the |any |all )?(?:errors|mistakes|typos)",
        r"spell-?check",
        r"grammar",
        r"give (?:me )?feedback",
        r"evaluate",
        r"assess",
    ),
    "审校|校对|审阅|审读|审稿|检查|纠错|挑错|找错|错别字|点评|评估|评审",
)
PROMPT = _pattern(
    r"\b(?:system|user|llm|ai|gpt|chatgpt|model)[- ]prompts?\b|\bsystem messages?\b"
    r"|\bprompt[- ](?:template|engineering)s?\b"
    r"|\bprompts?\b(?! (?:reply|response|payment|attention|delivery|action|answer)\b)",
    "提示词|提示语|系统提示|系统消息|咒语|指令模板|(?<![a-z])prompts?(?=[\\u4e00-\\u9fff，。])",
)
ARTICLE = _pattern(
    _english(
        r"articles?",
        r"essays?",
        r"blog ?posts?",
        r"blogs?",
        r"posts?",
        r"stor(?:y|ies)",
        r"newsletters?",
        r"press releases?",
        r"white ?papers?",
        r"op-?eds?",
        r"columns?",
        r"features?(?= (?:about|on)\b)",
        r"tutorials?",
        r"write-?ups?",
        r"listicles?",
        r"drafts?",
    ),
    "文章|博客|博文|推文|文案|稿件|稿子|新闻稿|演讲稿|公众号|随笔|散文|作文|短文|长文|软文|故事|专栏|评论文|"
    "科普文|游记|书评|影评|论文|小说|教程",
)
# What a pasted prompt begins with.
PROMPT_OPENING = re.compile(
    r"^\s*(?:you are (?:an?|the)\b|act as\b|you will act as\b|#\s*(?:role|system)\b"
    r"|你是一?[名个位]|你现在是|请?扮演|作为一[名个位])",
    re.IGNORECASE,
)
NO_TOPIC = _pattern(
    r"\b(?:any(?: interesting)? topic|some topic|a topic of your choice|(?:you|your) (?:choose|choice|pick|decide)"
    r"|surprise me|"
    r"(?:no|without an?) (?:topic|brief|idea|subject)|don't know what (?:to write|about)|not sure (?:what|about)|"
    r"whatever(?: topic| you (?:like|want))?|(?:some|any)thing(?: (?:interesting|fun|nice|good|new))?"
    r"|needs? ideas?|help me (?:find|choose|pick) a topic)\b",
    "没想好|没想到|不知道写|还没有?主题|没有主题|没有?选题|随便|任意主题|你来定|你定|你决定|帮我选题|想个主题|选个主题",
)
# Code is worked on in the general workspace, whatever verb comes with it.
CODE = _pattern(
    _english(r"code", r"function", r"script", r"sql", r"python", r"javascript", r"stack ?trace", r"bug"),
    "代码|函数|脚本|程序",
)

# Words without a topic in them: what is left of the instruction without these is its topic.
_FILLER = (
    "a about am an and any anything are article articles as asap at be begin big blog blogpost blogposts "
    "blogs brief by called can casual chinese column columns come compose composing concerning content could "
    "covering create creates describing develop did do does done draft drafts english entitled essay essays "
    "feature few for formal fresh friendly fun funny generate get give good great had has have he help here "
    "high i i'd i'm id if im in informal interesting is it its kindly language let let's lets like listicle "
    "long long-form make makes may me might mine more must my named need needs new newsletter newsletters "
    "nice no not now of on one op-ed or original our page pages paper paragraph paragraphs piece please pls "
    "post posts prepare press produce professional provide put quality quick really regarding release "
    "releases several shall short should simple small so some something soon start stories story subject text "
    "that the theme there these thing this those three titled to today together tomorrow topic tutorial two "
    "unique up us very want wanted wants was we well well-written were white whitepaper will with word words "
    "would write write-up writes writeup writing written you your "
)
FILLER_EN = frozenset(_FILLER.split())
FILLER_ZH = re.compile(
    "我想要|我想|我要|我需要|我们|需要|想要|希望|请你|请|麻烦|帮忙|帮我|帮|给我|为我|替我|能不能|能否|可以|来|"
    "生成|创作|撰写|起草|编写|写作|写出|写|做|弄|整|"
    "关于|有关|围绕|主题|题目|标题|话题|内容|介绍|"
    "一篇|一个|一份|一则|两篇|几篇|篇|份|个|则|短篇|长篇|简短|简单|高质量|优质|专业|有趣|好看|好的|精彩|"
    "文章|博客|博文|推文|文案|稿件|稿子|新闻稿|演讲稿|公众号|微信|随笔|散文|作文|短文|"
    "长文|软文|故事|专栏|科普文|游记|书评|影评|论文|小说|教程|"
    "中文|英文|[0-9一二三四五六七八九十百千]+ ?字(?:左右|以内|以上)?|的|吧|吗|呢|啊|了|我|你|要|想|为|是|以|就|先|再|文"
)
