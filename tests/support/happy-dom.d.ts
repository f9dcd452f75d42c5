/** As much of happy-dom as the tests use, in types as short as the tests need. */
declare module "happy-dom" {
  export interface Node {
    readonly textContent: string;
  }
  export interface Element extends Node {
    readonly id: string;
    readonly className: string;
    readonly children: { readonly length: number };
    getAttribute(name: string): string | null;
    querySelectorAll(selector: string): Iterable<Element>;
    dispatchEvent(event: object): boolean;
    click(): void;
    focus(): void;
  }
  export interface Document {
    readonly activeElement: Element | null;
    querySelectorAll(selector: string): Iterable<Element>;
    write(html: string): void;
  }
  type EventClass = new (type: string, init?: Readonly<Record<string, unknown>>) => object;
  export class Window {
    constructor(options: { readonly settings: Readonly<Record<string, boolean>> });
    readonly document: Document;
    readonly happyDOM: { close(): Promise<void> };
    readonly KeyboardEvent: EventClass;
    readonly PointerEvent: EventClass;
    readonly FocusEvent: EventClass;
    eval(script: string): unknown;
  }
}
