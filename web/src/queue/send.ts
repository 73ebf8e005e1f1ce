// Bodies on their way, with progress: what fetch does not tell.
import { faultOf, unreachable } from "../api";

export interface Sending {
  method: string;
  url: string;
  headers?: Record<string, string>;
  body: XMLHttpRequestBodyInit;
  signal: AbortSignal;
  /** Bytes of the body that went out so far. */
  onSent: (bytes: number) => void;
}

export interface Answer {
  text: string;
  header: (name: string) => string | null;
}

/** Sends, and throws the fault of any answer but a success. */
export function send({ method, url, headers = {}, body, signal, onSent }: Sending): Promise<Answer> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open(method, url);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    const abort = () => request.abort();
    signal.addEventListener("abort", abort);
    request.upload.onprogress = (event) => onSent(event.loaded);
    request.onloadend = () => signal.removeEventListener("abort", abort);
    request.onerror = () => reject(unreachable());
    request.onabort = () => reject(signal.reason);
    request.onload = () => {
      if (request.status >= 200 && request.status < 300) {
        resolve({ text: request.responseText, header: (name) => request.getResponseHeader(name) });
      } else {
        reject(faultOf(request.status, request.responseText, request.getResponseHeader("retry-after")));
      }
    };
    request.send(body);
  });
}

/** Waits, unless it is called off. */
export function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      signal.removeEventListener("abort", off);
      resolve();
    }, ms);
    const off = () => {
      clearTimeout(timer);
      reject(signal.reason);
    };
    signal.addEventListener("abort", off, { once: true });
  });
}

/** For a header; `crypto.randomUUID` is there in secure contexts only. */
export function onceKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
