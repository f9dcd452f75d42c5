/**
 * Sorts the reference pages: exports by the part of the library that they belong to, members of a class by the class
 * that declares them, as its `@category` says. The comment of an inherited class introduces its category. Classes that
 * are no public names stay out of sight: "inherited from …" is left out where it would lead nowhere.
 */

import { Comment, CommentTag, Converter, Reflection, ReflectionKind } from "typedoc";

/** The first entry that a source file's path contains decides. */
const PARTS = [
  ["ts/engine/errors.ts", "Errors"],
  ["ts/hooks/intervention", "Interventions"],
  ["ts/hooks/module.ts", "Modules"],
  ["ts/hooks/hooked-root", "Modules"],
  ["ts/hooks/caching.ts", "Caches"],
  ["ts/hooks/names.ts", "Types of names and axes"],
  ["ts/hooks/call-arguments.ts", "Types of names and axes"],
  ["ts/hooks/", "Hooks"],
  ["ts/models/", "Models"],
  ["ts/cache/", "Caches"],
  ["ts/text/", "Text"],
  ["ts/train/", "Training"],
  ["ts/analysis/", "Explaining a prediction"],
  ["ts/viz/", "Pictures"],
  ["ts/tensor/create.ts", "Making tensors"],
  ["ts/tensor/random.ts", "Making tensors"],
  ["ts/tensor/axes.ts", "Types of names and axes"],
  ["ts/tensor/nested.ts", "Types of names and axes"],
  ["ts/tensor/", "Tensors"],
  ["ts/engine/engine.ts", "Tensors"],
  ["ts/engine/current.ts", "Starting the engine"],
  ["ts/worker/remote-tensor.ts", "What stays in the worker"],
  ["ts/worker/remote-cache.ts", "What stays in the worker"],
  ["ts/worker/remote-model.ts", "What stays in the worker"],
  ["ts/worker/remote.ts", "What stays in the worker"],
  ["ts/worker/worker-hook.ts", "Functions of the worker"],
  ["ts/worker/", "Starting a worker"],
];

/**
 * @param {import("typedoc").Context} context
 * @param {import("typedoc").DeclarationReflection} reflection
 */
function declarationOf(context, reflection) {
  return context.getSymbolFromReflection(reflection)?.declarations?.[0];
}

/**
 * @param {Reflection} reflection
 * @param {import("typedoc").TagString} name
 * @param {string} text
 */
function tag(reflection, name, text) {
  reflection.comment ??= new Comment();
  reflection.comment.blockTags.push(new CommentTag(name, [{ kind: "text", text }]));
}

/** @param {import("typedoc").DeclarationReflection} reflection */
function commented(reflection) {
  return reflection.signatures ?? (reflection.getSignature ? [reflection.getSignature] : [reflection]);
}

/**
 * @param {import("typedoc").Context} context
 * @param {import("typedoc").DeclarationReflection} owner
 */
function sortMembers(context, owner) {
  const checker = context.programs[0].getTypeChecker();
  const own = declarationOf(context, owner)?.name;
  const introduced = new Set();
  for (const member of owner.children ?? []) {
    const parent = declarationOf(context, member)?.parent;
    const declaring = parent?.name && checker.getSymbolAtLocation(parent.name);
    const title = declaring
      ?.getJsDocTags(checker)
      .find(({ name }) => name === "category")
      ?.text?.map(({ text }) => text)
      .join("");
    if (title === undefined) continue;
    for (const target of commented(member)) tag(target, "@category", title);
    if (introduced.has(title) || parent.name === own) continue;
    introduced.add(title);
    const introduction = declaring.getDocumentationComment(checker).map(({ text }) => text);
    tag(owner, "@categoryDescription", `${title}\n${introduction.join("")}`);
  }
}

/** @param {import("typedoc").Application} app */
export function load(app) {
  app.converter.on(
    Converter.EVENT_RESOLVE_BEGIN,
    (context) => {
      const modules = context.project.children ?? [];
      for (const reflection of modules.flatMap(({ children }) => children ?? [])) {
        // What another entry point exports too is documented there.
        if (reflection.kindOf(ReflectionKind.Reference)) continue;
        // A class's own tag is about its members.
        reflection.comment?.removeTags("@category");
        const file = declarationOf(context, reflection)?.getSourceFile().fileName ?? "";
        const part = PARTS.find(([path]) => file.includes(path));
        if (part === undefined) app.logger.warn(`no category for ${reflection.name} of ${file}`);
        else for (const target of commented(reflection)) tag(target, "@category", part[1]);
        if (reflection.kindOf(ReflectionKind.Class)) sortMembers(context, reflection);
      }
    },
    1000,
  );
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, (context) => {
    for (const parameter of context.project.getReflectionsByKind(ReflectionKind.Parameter)) {
      // TypeDoc's name for a parameter that is taken apart where it is declared.
      if (parameter.name === "__namedParameters") parameter.name = "options";
    }
  });
  app.converter.on(
    Converter.EVENT_RESOLVE_END,
    (context) => {
      const hidden = (/** @type {any} */ type) =>
        type?.type === "reference" &&
        !type.reflection &&
        !type.externalUrl &&
        (type.package ?? "hooklens") === "hooklens";
      for (const reflection of Object.values(context.project.reflections)) {
        if (hidden(reflection.inheritedFrom)) reflection.inheritedFrom = undefined;
        if (reflection.extendedTypes?.some(hidden)) {
          reflection.extendedTypes = undefined;
          reflection.typeHierarchy = undefined;
        }
      }
    },
    -1000,
  );
}
