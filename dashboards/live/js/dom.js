// Helpers that write into the document: only text, never markup, and only changes.

/** Invisible characters that change the direction of text, which would falsify what is read. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/g;

export const by = (id) => document.getElementById(id);

/** A new element: its class, and texts or elements in it. */
export function make(tag, className = '', ...inside) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.append(...inside);
  return element;
}

/** Sets the text of an element if it differs. Direction characters are shown as �. */
export function setText(element, text) {
  const next = String(text).replace(TURNS, '\ufffd');
  if (element.textContent !== next) element.textContent = next;
}

/** Sets a class if it differs. */
export function dress(element, className) {
  if (element.className !== className) element.className = className;
}

/** Sets or removes an attribute if it differs. */
export function mark(element, name, value) {
  if (value === null || value === false) {
    if (element.hasAttribute(name)) element.removeAttribute(name);
  } else if (element.getAttribute(name) !== String(value)) {
    element.setAttribute(name, value);
  }
}

/**
 * Matches the children of a parent to a list: each child is made once and filled at every call, so that rows stay in
 * place while they are read.
 */
export function fill(parent, things, create, update) {
  while (parent.children.length > things.length) parent.lastElementChild.remove();
  things.forEach((thing, at) => {
    let child = parent.children[at];
    if (!child) {
      child = create();
      parent.append(child);
    }
    update(child, thing, at);
  });
}

/**
 * As `fill`, for a list with new items on top: each item keeps its element, and with it its open state and the keyboard
 * focus. The order of items never changes; `key` identifies them.
 */
export function fillKeyed(parent, things, key, create, update) {
  const keys = things.map(key);
  for (const child of [...parent.children]) if (!keys.includes(child.dataset.key)) child.remove();
  things.forEach((thing, at) => {
    let child = parent.children[at];
    if (child?.dataset.key !== keys[at]) {
      child = create();
      child.dataset.key = keys[at];
      parent.insertBefore(child, parent.children[at] ?? null);
    }
    update(child, thing);
  });
  while (parent.children.length > things.length) parent.lastElementChild.remove();
}

/** A table's row with so many cells; the first is a heading. */
export function row(classes) {
  const line = make('tr');
  classes.forEach((className, at) => {
    const cell = make(at === 0 ? 'th' : 'td', className);
    if (at === 0) cell.scope = 'row';
    line.append(cell);
  });
  return line;
}

/** A bar of parts, as shares of 1; what is left over stays empty. */
export function bar(parts) {
  const whole = make('span', 'bar-line');
  whole.setAttribute('aria-hidden', 'true');
  parts.forEach((name) => whole.append(make('span', `part ${name}`)));
  return whole;
}

/** Sets the shares of a bar. */
export function share(whole, shares) {
  shares.forEach((part, at) => {
    const width = `${(Math.max(0, Math.min(1, part || 0)) * 100).toFixed(2)}%`;
    const style = whole.children[at].style;
    if (style.width !== width) style.width = width;
  });
}
