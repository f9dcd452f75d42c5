/** Which tensors were made inside which running `tidy`. Its own file because making a tensor and `tidy` both need it. */

interface Disposable {
  dispose(): void;
}

const scopes: Set<Disposable>[] = [];

/** Notes a new tensor in the innermost scope, if any. */
export function track(tensor: Disposable): void {
  scopes.at(-1)?.add(tensor);
}

/** Forgets a tensor in every scope: it was disposed, or is to outlive them. */
export function untrack(tensor: Disposable): void {
  for (const scope of scopes) scope.delete(tensor);
}

/** Opens a scope. */
export function openScope(): Set<Disposable> {
  const scope = new Set<Disposable>();
  scopes.push(scope);
  return scope;
}

/** Closes the innermost scope: what is in `survivors` goes to the scope around it, the rest is disposed. */
export function closeScope(scope: Set<Disposable>, survivors: ReadonlySet<unknown>): void {
  // A hook that threw through a nested scope cannot leave it open: everything above this one closes too.
  while (scopes.length > 0 && scopes.pop() !== scope);
  for (const tensor of scope) {
    if (survivors.has(tensor)) scopes.at(-1)?.add(tensor);
    else tensor.dispose();
  }
}
