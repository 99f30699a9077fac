"""What users read is plain technical English, and its shell commands are marked as such."""

import re
import tokenize
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MARKDOWN = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").rglob("*.md")),
]
EXAMPLES = [*(ROOT / "examples").glob("*.py"), *(ROOT / "examples").glob("*.yaml")]
PAGES = [*MARKDOWN, *EXAMPLES]
PACKAGE = ROOT / "src" / "motet"
MODULES = sorted(PACKAGE.rglob("*.py"))

COMMAND = re.compile(r"^(\$ )?(pip|python|motet|make|git|source|[A-Z_]+=\S+ python) ", re.MULTILINE)

ODD = {
    r"\b(is|are|was|be|being) told\b|\btold (all|apart|and|what|with|how|that|the)\b": "reported",
    r"\bunless told\b|\bif told\b": "by default",
    r"(?<!cannot )\btells?\b": "reports, describes, returns",
    r"\ba (line|note|warning|message|record|docs?) says\b|\bsays (so|what|which|whose|how)\b": (
        "reports, names"
    ),
    r"\bhand(s|ed)? (it |them |each result )?on\b": "pass, return",
    r"\bparted\b|\bparts (a pair|tasks|the words)\b": "split, separates",
    r"\b(train|training|validation|test) parts?\b": "training rows, test set",
    r"\binto \w+ parts\b": "micro-batches, splits",
    r"\bjudge[sd]?\b": "evaluate, metric",
    r"\blooks? at\b|\blooked at\b": "reads, verifies",
    r"\bgo(es)? back\b": "resumes, takes a backward pass",
    r"\bgo(es)? on\b": "continues, resumes",
    r"\bpassed over\b": "skipped",
    r"\bof (your|one's) own\b": "your own encoder",
    r"\bwants? (the|to be|a|snips|`)\b": "needs",
    r"\bway of sharing\b|\bways of sharing\b": "sharing scheme",
    r"\bnobody (knows|gave|needs)\b": "unknown, without",
    r"\bstands? (beside|apart|in the)\b": "is given, is in",
    r"\bdraws? (them |networks |their weights )?together\b": "ties",
    r"\bwhat (is|was|are|were) (remembered|inferred|predicted|wrong)\b": "state, inferred types",
    r"\bbeside (a|an|the) (predictor|loop|plain|same|linear)\b": "compared with",
    r"\bcarr(y|ies|ied) out\b": "run",
    r"\bwritten by hand\b": "hand-written",
    r"\bgiven by hand\b": "set by hand",
    r"\blike lengths?\b": "of similar length",
    r"(?<!there )\bis no (batch|folder|number|place|span|state|target|task|tensor|token|word)\b": (
        "is not a ..."
    ),
    r"\bwhich is none\b": "is not a ...",
    r"\bcan(not)? be had\b|\bto be had\b": "is feasible, is available",
    r"\bof no use\b": "has no effect, unusable",
    r"\blabels of words\b|\bweights of classes\b|\bencoders? of (texts?|tables|words)\b": (
        "word labels, class weights, text encoders"
    ),
}


def odd_phrases(text):
    """Find phrases that may not come back, each with some text around it and what to write."""
    return {
        text[max(0, found.start() - 30) : found.end() + 30]: f"write: {better}"
        for phrase, better in ODD.items()
        for found in re.finditer(phrase, text, re.IGNORECASE)
    }


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_and_examples_use_the_words_of_the_field(page):
    text = " ".join(re.sub(r"^\s*# ", "", page.read_text(encoding="utf-8"), flags=re.M).split())
    if page.suffix == ".md":
        text = re.sub(r"`[^`]*`", "``", text)  # code and quoted messages are not prose
    assert odd_phrases(text) == {}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_docstrings_comments_and_messages_use_the_words_of_the_field(module):
    prose = (tokenize.STRING, tokenize.COMMENT, getattr(tokenize, "FSTRING_MIDDLE", None))
    with module.open("rb") as file:
        tokens = [each.string for each in tokenize.tokenize(file.readline) if each.type in prose]
    texts = [each.lstrip("# ") for each in tokens if " " in each]  # single words are keys and names
    text = re.sub(r"[\"']\s+f?[\"']", "", " ".join(" ".join(texts).split()))  # adjacent literals
    assert odd_phrases(text) == {}


@pytest.mark.parametrize("page", MARKDOWN, ids=lambda page: str(page.relative_to(ROOT)))
def test_code_blocks_name_their_language_and_shell_commands_are_console_or_bash(page):
    text = page.read_text(encoding="utf-8")
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    assert [body for language, body in blocks if not language] == []
    shell = [language for language, body in blocks if COMMAND.match(body)]
    assert set(shell) <= {"console", "bash"}
