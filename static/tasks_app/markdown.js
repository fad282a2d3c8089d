// Markdown while it is being written, as HTML that cannot do anything. The server renders the finished text.

import DOMPurify from "dompurify";
import { marked } from "marked";

const RULES = {
  ALLOWED_TAGS: [
    "a", "blockquote", "br", "code", "del", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre",
    "s", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
  ],
  ALLOWED_ATTR: ["href", "title", "start"],
  ALLOWED_URI_REGEXP: /^(?:https?|mailto):/i,
};

DOMPurify.addHook("afterSanitizeAttributes", (node) => {
  if (node.nodeName === "A") node.setAttribute("rel", "noopener noreferrer nofollow");
});

// A last line that is a mark and nothing else, so far: shown, it would be an empty heading, item or quotation.
const UNFINISHED = /(?:^|\n)[ \t]*(?:#{1,6}|[-*+>]|\d{1,9}[.)])[ \t]*$/;

/** Render `text`, of which more may come, into `element`. */
export function renderMarkdown(element, text) {
  const dirty = marked.parse(text.replace(UNFINISHED, ""), { async: false, gfm: true });
  element.replaceChildren(DOMPurify.sanitize(dirty, { ...RULES, RETURN_DOM_FRAGMENT: true }));
}
