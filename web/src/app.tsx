import { useEffect } from "preact/hooks";

import { AssetPage } from "./asset/page";
import { Icon } from "./icons";
import { Library } from "./library/library";
import { AddButton, AddDialog, DropTarget } from "./queue/add";
import { Queue } from "./queue/panel";
import { resumeSoon } from "./queue/queue";
import { lastLibrary, place } from "./router";
import { key, signOut } from "./session";
import { SignIn } from "./signin";
import { ThemeButton } from "./theme";

export function App() {
  return key.value ? <House key={key.value} /> : <SignIn />;
}

function House() {
  const here = place.value;
  useEffect(resumeSoon, []);
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => { event.preventDefault(); document.getElementById("main")?.focus(); }}>Skip to the content</a>
      <header class="top">
        <a class="wordmark" href={here.at === "library" ? "#/" : lastLibrary.value}>Reelhouse</a>
        <div class="top-actions">
          <AddButton />
          <ThemeButton />
          <button class="quiet round" title="Sign out" onClick={() => signOut()}>
            <Icon name="out" />
            <span class="unseen">Sign out</span>
          </button>
        </div>
      </header>
      <main id="main" tabIndex={-1}>
        {here.at === "library" ? <Library filename={here.filename} kind={here.kind} /> : <AssetPage key={here.id} id={here.id} />}
      </main>
      <AddDialog />
      <Queue />
      <DropTarget />
    </>
  );
}
