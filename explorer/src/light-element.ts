import { LitElement } from "lit";

/** A component whose markup is part of the page, so that one style sheet and one focus order serve all. */
export class LightElement extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }
}

/**
 * Moves the focus among the buttons of a group with the arrow keys, in rows of `width`; `above` so many are over the first
 * row.
 */
export function walk(event: KeyboardEvent, group: HTMLElement, width: number, above = 0): void {
  const all = [...group.querySelectorAll<HTMLButtonElement>("button[data-walk]")];
  const at = all.indexOf(event.target as HTMLButtonElement);
  const places: Readonly<Record<string, number>> = {
    ArrowLeft: at - 1,
    ArrowRight: at + 1,
    ArrowUp: at >= above && at - width < above ? above - 1 : at - width,
    ArrowDown: at < above ? above : at + width,
    Home: 0,
    End: all.length - 1,
  };
  const place = places[event.key];
  if (at < 0 || place === undefined) return;
  event.preventDefault();
  all[place]?.focus();
}
