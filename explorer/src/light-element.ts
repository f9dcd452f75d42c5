import { LitElement } from "lit";

/** A component whose markup is part of the page, so that one style sheet and one focus order serve all. */
export class LightElement extends LitElement {
  protected override createRenderRoot(): HTMLElement {
    return this;
  }
}

/** Moves the focus among the buttons of a group with the arrow keys, in rows of `width`. */
export function walk(event: KeyboardEvent, group: HTMLElement, width: number): void {
  const all = [...group.querySelectorAll<HTMLButtonElement>("button[data-walk]")];
  const at = all.indexOf(event.target as HTMLButtonElement);
  const steps: Readonly<Record<string, number>> = {
    ArrowLeft: -1,
    ArrowRight: 1,
    ArrowUp: -width,
    ArrowDown: width,
    Home: -at,
    End: all.length - 1 - at,
  };
  const step = steps[event.key];
  const next = step === undefined ? undefined : all[at + step];
  if (at < 0 || step === undefined) return;
  event.preventDefault();
  next?.focus();
}
