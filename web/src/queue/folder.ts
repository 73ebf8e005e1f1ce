// What was dropped, with all that is in folders.

/** Must be called while the drop is handled: afterwards the browser has forgotten it. */
export function dropped(transfer: DataTransfer): Promise<File[]> {
  const entries = [...transfer.items].map((item) => (item.kind === "file" ? item.webkitGetAsEntry() : null)).filter((entry) => entry !== null);
  const plain = [...transfer.files];
  if (!entries.length) return Promise.resolve(wanted(plain));
  return Promise.all(entries.map(filesOf)).then((files) => wanted(files.flat()));
}

/** What a system puts into folders for itself is not meant. */
export function wanted(files: File[]): File[] {
  return files.filter(({ name }) => !name.startsWith(".") && !["Thumbs.db", "desktop.ini"].includes(name));
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    return new Promise((resolve) => (entry as FileSystemFileEntry).file((file) => resolve([file]), () => resolve([])));
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader();
  const found: File[] = [];
  for (;;) {
    // A batch at a time, until an empty one.
    const batch = await new Promise<FileSystemEntry[]>((resolve) => reader.readEntries(resolve, () => resolve([])));
    if (!batch.length) return found;
    for (const each of batch) found.push(...(await filesOf(each)));
  }
}

/** The first link in a text, if it is nothing but links. */
export function linksIn(text: string): string[] {
  const words = text.trim().split(/\s+/).filter(Boolean);
  const links = words.filter((word) => /^https?:\/\/[^\s]+$/i.test(word) && URL.canParse(word));
  return links.length === words.length ? links : [];
}
