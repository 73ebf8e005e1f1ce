import { Fault } from "./api";
import { Icon } from "./icons";

/** What went wrong: in words, with its code, and what can be done about it. */
export function Problem({ fault, children }: { fault: { code: string; message: string }; children?: preact.ComponentChildren }) {
  return (
    <div class="problem" role="alert">
      <Icon name="warn" />
      <div>
        <p>
          {fault.message} {fault.code && <code>{fault.code}</code>}
        </p>
        {children}
      </div>
    </div>
  );
}

/** Whatever was thrown, as a fault that can be shown. */
export function asFault(error: unknown): Fault {
  if (error instanceof Fault) return error;
  console.error(error);
  return new Fault("page_error", "This page made a mistake. Please reload it.", -1);
}
