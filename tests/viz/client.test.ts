import { type Document, type Element, Window } from "happy-dom";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { attentionPatterns, explainPicture, heatmap } from "../../ts/index.ts";
import { CLIENT_SCRIPT } from "../../ts/viz/client-script.ts";
import { sampleReport } from "../support/sample-report.ts";

let window: Window;

/** A page as a browser has it once the script has run. */
function open(markup: string): Document {
  // The same document without its script, which is run below: twice, as in a notebook with two pictures.
  window.document.write(markup.replace(/<script>.*?<\/script>/s, ""));
  window.eval(CLIENT_SCRIPT);
  window.eval(CLIENT_SCRIPT);
  return window.document;
}

beforeEach(() => {
  window = new Window({
    // The script under test is our own.
    settings: { enableJavaScriptEvaluation: true, suppressInsecureJavaScriptEnvironmentWarning: true },
  });
});
afterEach(() => window.happyDOM.close());

function all(root: Document | Element, selector: string): Element[] {
  return [...root.querySelectorAll(selector)];
}

function one(root: Document | Element, selector: string): Element {
  const [first] = all(root, selector);
  if (first === undefined) throw new Error(`there is no ${selector}`);
  return first;
}

function at(elements: readonly Element[], place: number): Element {
  const element = elements[place];
  if (element === undefined) throw new Error(`there is no element ${place}`);
  return element;
}

function press(element: Element, key: string, ctrlKey = false): void {
  element.dispatchEvent(
    new window.KeyboardEvent("keydown", { key, ctrlKey, bubbles: true, cancelable: true }),
  );
}

describe("tables", () => {
  const values = [
    [1, -2, 3],
    [4, 5, 6],
  ];
  const names = { rows: ["top", "bottom"], columns: ["a", "b", "c"] };

  test("have one place in the tab order, which the arrow keys move", () => {
    const page = open(heatmap(values, names).toPage());
    const table = one(page, "table");
    expect(table.getAttribute("role")).toBe("grid");
    const cells = all(page, "tbody td");
    expect(all(page, "tbody td[tabindex='0']")).toHaveLength(1);
    const walk = (key: string, ctrlKey = false) => {
      press(one(page, "tbody td[tabindex='0']"), key, ctrlKey);
      expect(all(page, "tbody td[tabindex='0']")).toHaveLength(1);
      const { activeElement } = page;
      return activeElement === null ? -1 : cells.indexOf(activeElement);
    };
    one(page, "tbody td[tabindex='0']").focus();
    expect(walk("ArrowRight")).toBe(1);
    expect(walk("ArrowDown")).toBe(4);
    expect(walk("ArrowDown")).toBe(4);
    expect(walk("Home")).toBe(3);
    expect(walk("ArrowLeft")).toBe(3);
    expect(walk("End")).toBe(5);
    expect(walk("ArrowRight")).toBe(5);
    expect(walk("Home", true)).toBe(0);
    expect(walk("ArrowUp")).toBe(0);
    expect(walk("End", true)).toBe(5);
    expect(walk("x")).toBe(5);
  });

  test("say what a cell is, to the eye and to screen readers", () => {
    const page = open(heatmap(values, names).toPage());
    const readout = one(page, ".readout");
    const hint = readout.textContent;
    const cell = all(page, "tbody td")[1];
    cell?.dispatchEvent(new window.PointerEvent("pointerover", { bubbles: true }));
    expect(readout.textContent).toBe("top, b: −2.00");
    expect(all(page, ".hot").map((element) => element.textContent)).toEqual(["b", "top"]);
    one(page, "table").dispatchEvent(new window.PointerEvent("pointerleave"));
    expect(readout.textContent).toBe(hint);
    cell?.dispatchEvent(new window.FocusEvent("focusin", { bubbles: true }));
    expect(cell?.getAttribute("aria-label")).toBe("top, b: −2.00");
  });
});

describe("the attention viewer", () => {
  const tokens = ["one", " two", " three"];
  const first = [
    [1, 0, 0],
    [0.3, 0.7, 0],
    [0.2, 0.2, 0.6],
  ];
  const second = [
    [1, 0, 0],
    [1, 0, 0],
    [0.125, 0.003, 0.872],
  ];
  const picture = () =>
    attentionPatterns(tokens, [
      [first, second],
      [second, first],
    ]);
  const percents = (page: Document) => all(page, "hl-grid tbody td").map((cell) => cell.textContent);

  test("shows a head when it is chosen, by pointer or keys", () => {
    const page = open(picture().toPage());
    const heads = all(page, ".heads button");
    const checked = () => heads.findIndex((head) => head.getAttribute("aria-checked") === "true");
    expect(heads.map((head) => head.getAttribute("tabindex"))).toEqual(["0", "-1", "-1", "-1"]);
    expect(percents(page)).toEqual(["100", "", "", "30", "70", "", "20", "20", "60"]);
    heads[1]?.click();
    expect(checked()).toBe(1);
    expect(one(page, ".which b").textContent).toBe("L0H1");
    expect(percents(page)).toEqual(["100", "", "", "100", "", "", "13", "", "87"]);
    expect(all(page, "hl-grid tbody td").map((cell) => cell.className)).toEqual([
      "q10",
      "x",
      "x",
      "q10",
      "q0",
      "x",
      "q4",
      "q1",
      "q9",
    ]);
    press(at(heads, 1), "ArrowDown");
    expect(checked()).toBe(3);
    expect(page.activeElement).toBe(heads[3]);
    press(at(heads, 3), "Home");
    expect(checked()).toBe(2);
    expect(heads.map((head) => head.getAttribute("tabindex"))).toEqual(["-1", "-1", "0", "-1"]);
  });

  test("colours the tokens by what one of them looks at, or by what looks at it", () => {
    const page = open(picture().toPage());
    const strip = all(page, ".strip button");
    const said = one(page, ".said");
    expect(said.textContent).toBe("2 ·three looks at 2 ·three 60.0 %, 0 one 20.0 %, 1 ·two 20.0 %");
    strip[1]?.dispatchEvent(new window.PointerEvent("pointerenter"));
    expect(said.textContent).toBe("1 ·two looks at 1 ·two 70.0 %, 0 one 30.0 %");
    expect(strip.map((token) => token.className)).toEqual(["q5", "q8 on", "q0"]);
    one(page, "[data-direction=to]").click();
    expect(said.textContent).toBe("1 ·two is looked at by 1 ·two 70.0 %, 2 ·three 20.0 %");
    const direction = one(page, "[data-direction=to]");
    press(direction, "ArrowLeft");
    expect(one(page, "[data-direction=from]").getAttribute("aria-checked")).toBe("true");
    strip[1]?.focus();
    press(at(strip, 1), "ArrowLeft");
    expect(page.activeElement).toBe(strip[0]);
    expect(said.textContent).toBe("0 one looks at 0 one 100.0 %");
  });

  test("describes cells by their tokens", () => {
    const page = open(picture().toPage());
    const cells = all(page, "hl-grid tbody td");
    cells[3]?.dispatchEvent(new window.PointerEvent("pointerover", { bubbles: true }));
    expect(one(page, ".readout").textContent).toBe("1 ·two looks at 0 one: 30.0 %");
    cells[1]?.dispatchEvent(new window.PointerEvent("pointerover", { bubbles: true }));
    expect(one(page, ".readout").textContent).toBe("0 one cannot see 1 ·two");
  });

  test("reads long runs of zeros and numbers that are none", () => {
    const side = 15;
    const pattern = Array.from({ length: side }, (_, q) =>
      Array.from({ length: side }, (_, k) =>
        k === 0 ? (q === 7 ? Number.NaN : 0.999) : k === 14 ? 0.001 : 0,
      ),
    );
    const page = open(
      attentionPatterns(
        pattern.map((_, i) => `t${i}`),
        [pattern, pattern],
      ).toPage(),
    );
    const before = percents(page);
    all(page, ".heads button")[1]?.click();
    expect(percents(page)).toEqual(before);
    expect(before[7 * side]).toBe("NaN");
    const cell = all(page, "hl-grid tbody td")[14 * side + 14];
    cell?.dispatchEvent(new window.PointerEvent("pointerover", { bubbles: true }));
    expect(one(page, ".readout").textContent).toBe("14 t14 looks at 14 t14: 0.1 %");
  });
});

describe("the page of an explanation", () => {
  test("choosing a cell of the ablation table shows that head", () => {
    const page = open(explainPicture(sampleReport()).toPage());
    const chosen = () => one(page, ".heads button[aria-checked=true]").getAttribute("data-head");
    expect(chosen()).toBe("0.0");
    const cell = one(page, "#ablation td[data-head='1.2']");
    cell.click();
    expect(chosen()).toBe("1.2");
    expect(one(page, ".which").textContent).toBe("L1H2 answer’s logit +0.13 without it");
    press(cell, "ArrowLeft");
    press(one(page, "#ablation td[tabindex='0']"), "Enter");
    expect(chosen()).toBe("1.1");
  });

  test("is well formed: names are unique, tables have headers, controls have names", () => {
    const page = open(explainPicture(sampleReport()).toPage());
    const ids = all(page, "[id]").map((element) => element.id);
    expect(new Set(ids).size).toBe(ids.length);
    for (const table of all(page, "table")) {
      expect(table.getAttribute("aria-label")).toBeTruthy();
      const width = all(table, "thead th, thead td").length;
      for (const row of all(table, "tbody tr")) {
        expect(all(row, "th[scope=row]")).toHaveLength(1);
        expect(row.children).toHaveLength(width);
      }
    }
    for (const button of all(page, "button")) {
      expect(button.getAttribute("aria-label") ?? button.textContent).toBeTruthy();
    }
    for (const image of all(page, "svg[role=img]")) expect(image.getAttribute("aria-label")).toBeTruthy();
  });

  test("hostile tokens become neither elements nor attributes", () => {
    const sample = sampleReport();
    const hostile = [
      '</script><img src=x onerror="x">',
      '" onclick="x',
      "<svg onload=x>",
      "--><b id=injected>",
    ];
    const tokens = sample.tokens.map((token, i) => ({ ...token, text: hostile[i % hostile.length] ?? "" }));
    const page = open(
      explainPicture({ ...sample, tokens, answer: { ...sample.answer, text: hostile[0] ?? "" } }).toPage(),
    );
    expect(all(page, "img, #injected, [onclick], [onload], [onerror]")).toHaveLength(0);
    expect(one(page, ".prompt").textContent).toContain('</script><img·src=x·onerror="x">');
  });
});
