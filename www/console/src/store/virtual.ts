// The arithmetic of a list that renders only the rows in sight. Rows have one height.

/** Which rows to render, and where the first of them begins. */
export interface Window {
  first: number;
  /** Exclusive. */
  last: number;
  offset: number;
  total: number;
}

/** The window for a scroll position, with some rows more on both sides so that a fling shows no blank. */
export function windowOf(count: number, rowHeight: number, scrollTop: number, height: number, overscan = 8): Window {
  const max = Math.max(0, count * rowHeight - height);
  const top = Math.min(Math.max(0, scrollTop), max);
  const first = Math.max(0, Math.floor(top / rowHeight) - overscan);
  const last = Math.min(count, Math.ceil((top + height) / rowHeight) + overscan);
  return { first, last, offset: first * rowHeight, total: count * rowHeight };
}

/** The scroll position that brings a row into sight, moving as little as possible. */
export function scrollTo(index: number, rowHeight: number, scrollTop: number, height: number): number {
  const top = index * rowHeight;
  if (top < scrollTop) return top;
  const bottom = top + rowHeight;
  return bottom > scrollTop + height ? bottom - height : scrollTop;
}

/** Whether a scroll position is at the end, give or take a row: then new rows keep it there. */
export function atEnd(count: number, rowHeight: number, scrollTop: number, height: number): boolean {
  return scrollTop + height >= (count - 1) * rowHeight;
}
