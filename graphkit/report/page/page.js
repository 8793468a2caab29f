"use strict";
// The report, and the few things that every part of the page uses. Text enters the page as text nodes only.

const DATA = JSON.parse(document.getElementById("data").textContent);
const CHECKS = DATA.checks.map((entry, index) => ({ ...DATA.defaults, ...entry, index }));
const SVG = "http://www.w3.org/2000/svg";

/** Shares of the bound at which a colour ends; what is beyond the last has one of its own. */
const LEVELS = [[0.01, "≤ 1 % of the bound"], [0.1, "≤ 10 %"], [0.5, "≤ 50 %"], [1, "≤ the bound"], [10, "beyond it"],
  [Infinity, "beyond 10 times"]];

const byId = (id) => document.getElementById(id);

/** A number as JSON spells it, infinities and NaN too. */
function real(value) {
  return typeof value === "string" ? { inf: Infinity, "-inf": -Infinity, nan: NaN }[value] : value;
}

/** An element with attributes, handlers (functions) and children (elements or text). */
function make(tag, attributes = {}, ...children) {
  return filled(document.createElement(tag), attributes, children);
}

function shape(tag, attributes = {}, ...children) {
  return filled(document.createElementNS(SVG, tag), attributes, children);
}

function filled(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value);
    else if (value !== null) element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== ""));
  return element;
}

/** A number in few digits: 0, 3.2e-7, 0.25, 1,234. */
function brief(value) {
  const number = real(value);
  if (number === 0) return "0";
  if (!Number.isFinite(number)) return Number.isNaN(number) ? "NaN" : number > 0 ? "∞" : "−∞";
  const size = Math.abs(number);
  if (size >= 1e5 || size < 1e-2) return number.toExponential(1).replace("-", "−").replace("e-", "e−").replace("e+", "e");
  return Number(number.toPrecision(3)).toLocaleString("en");
}

/** A number in all the digits that it has. */
function full(value) {
  const number = real(value);
  return Number.isFinite(number) ? String(number) : brief(number);
}

/** A number in as many digits as a reader compares. */
function fine(value) {
  const number = real(value);
  if (!Number.isFinite(number) || number === 0) return brief(number);
  const size = Math.abs(number);
  return size >= 1e6 || size < 1e-3 ? number.toExponential(4).replace(/\.?0+e/, "e").replace("e+", "e")
    : String(Number(number.toPrecision(6)));
}

/** The largest of numbers, of which there may be more than a call takes arguments. */
const largest = (numbers, least = -Infinity) => numbers.reduce((one, two) => Math.max(one, two), least);

const count = (number) => number.toLocaleString("en");
const shapeOf = (check) => check.shape.join("×") || (check.dtype ? "scalar" : "");
const sidesOf = (check) => (check.left ? `${check.left} | ${check.right}` : check.right);
const titleOf = (check) => `${check.kind} ${check.name}`.trim() + (check.step ? `, step ${check.step}` : "");
const isTensor = (check) => !check.whole;
const isJudged = (check) => check.verdict === "pass" || check.bad > 0;

/** The class that colours a share of a bound. */
function levelOf(checks) {
  const compared = checks.filter((check) => check.verdict !== "unavailable");
  if (!compared.length) return "none";
  const share = largest(compared.map((check) => real(check.share)));
  return `l${LEVELS.findIndex(([end]) => share <= end)}`;
}

const ORDER = { fail: 0, pass: 1, unavailable: 2 };

/** Failures first, then what is nearest to its bound. */
function worse(one, two) {
  return ORDER[one.verdict] - ORDER[two.verdict] || compare(real(two.share), real(one.share)) || one.index - two.index;
}

function compare(one, two) {
  if (typeof one === "string") return one.localeCompare(two, "en", { numeric: true });
  return one < two ? -1 : one > two ? 1 : 0;
}
