"use strict";
const bar = document.querySelector(".bar");
const input = bar.querySelector("input");
const told = bar.querySelector("output");
const button = bar.querySelector("button");
const main = document.querySelector("main");
const sections = [...main.querySelectorAll("section")];
const articles = [...main.querySelectorAll("article")];
const noun = main.dataset.noun ?? "message";
const MOST = 2000;
let hits = [], at = -1, opened = [], timer = 0;
bar.hidden = false;
button.hidden = !main.querySelector("details");

const plural = (n, noun) => `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
const words = () => input.value.toLowerCase().split(/\s+/).filter(Boolean);
const has = (text, all) => all.every((word) => text.includes(word));

function open(details) {
  if (!details.open) {
    details.open = true;
    opened.push(details);
  }
}

function search() {
  const all = words();
  for (const details of opened) details.open = false;
  opened = [];
  hits = [];
  mark(-1);
  for (const article of articles) {
    article.hidden = all.length > 0 && !has(article.textContent.toLowerCase(), all);
    if (all.length && !article.hidden) hits.push(article);
  }
  for (const section of sections) show(section, all);
  for (const article of hits.slice(0, MOST)) unfold(article, all);
  highlight(all);
  tell();
}

function show(section, all) {
  const details = section.firstElementChild;
  const inner = [...details.querySelectorAll(":scope > article")];
  const found = inner.some((article) => !article.hidden);
  const named = has(details.firstElementChild.textContent.toLowerCase(), all);
  section.hidden = all.length > 0 && !found && !named;
  if (all.length && named && !found) for (const article of inner) article.hidden = false;
  if (all.length && found) open(details);
}

function unfold(article, all) {
  for (const details of article.querySelectorAll("details")) {
    const text = details.textContent.toLowerCase();
    if (all.some((word) => text.includes(word))) open(details);
  }
}

function highlight(all) {
  if (!globalThis.Highlight) return;
  const ranges = [];
  const scope = all.length ? [...hits.slice(0, MOST), ...document.querySelectorAll(".c > summary")] : [];
  for (const each of scope) {
    const walker = document.createTreeWalker(each, NodeFilter.SHOW_TEXT);
    while (walker.nextNode() && ranges.length < MOST * 5) ranges.push(...inside(walker.currentNode, all));
  }
  CSS.highlights.set("found", new Highlight(...ranges));
}

function inside(node, all) {
  const text = node.data.toLowerCase(), ranges = [];
  if (text.length !== node.length) return ranges;
  for (const word of all) {
    for (let i = text.indexOf(word); i >= 0; i = text.indexOf(word, i + word.length)) {
      const range = document.createRange();
      range.setStart(node, i);
      range.setEnd(node, i + word.length);
      ranges.push(range);
    }
  }
  return ranges;
}

function mark(number) {
  hits[at]?.classList.remove("at");
  at = number;
  hits[at]?.classList.add("at");
}

function tell() {
  if (!words().length) told.textContent = "";
  else if (at >= 0) told.textContent = `${(at + 1).toLocaleString("en")} of ${plural(hits.length, noun)}`;
  else told.textContent = plural(hits.length, noun);
}

function step(by) {
  if (!hits.length) return;
  mark((at + by + hits.length) % hits.length);
  hits[at].scrollIntoView({ block: "center" });
  tell();
}

function reveal() {
  const target = location.hash && document.getElementById(location.hash.slice(1));
  if (!target || !main.contains(target)) return;
  if (target.closest("[hidden]")) clear();
  for (let each = target; each !== main; each = each.parentElement) {
    if (each.localName === "details") each.open = true;
    if (each.localName === "section" && each === target) each.firstElementChild.open = true;
  }
  target.scrollIntoView();
}

function clear() {
  input.value = "";
  search();
}

const typing = () => {
  clearTimeout(timer);
  timer = setTimeout(search, 150);
};
input.addEventListener("input", typing);
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
  else if (event.key === "Escape") clear();
  else return;
  event.preventDefault();
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "/" || event.target === input || event.ctrlKey || event.metaKey || event.altKey) return;
  event.preventDefault();
  input.focus();
});

const all = () => main.querySelectorAll("details");
button.addEventListener("click", () => {
  const unfolding = button.textContent === "Unfold all";
  for (const details of all()) details.open = unfolding;
  opened = [];
  button.textContent = unfolding ? "Fold all" : "Unfold all";
});
let folded = [];
addEventListener("beforeprint", () => {
  folded = [...all()].filter((details) => !details.open);
  for (const details of folded) details.open = true;
});
addEventListener("afterprint", () => {
  for (const details of folded) details.open = false;
});
addEventListener("hashchange", reveal);
reveal();
if (input.value) search();
