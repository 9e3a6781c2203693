import { ask } from "./api.js";
import { all, one } from "./dom.js";
import { leave, onSubmit, open } from "./form.js";
import { loadLists } from "./list.js";

for (const button of all("[data-open]")) button.addEventListener("click", () => open(button.dataset.open));
const form = one("#editor form");
if (form) {
  onSubmit(form, async (content) => {
    const made = await ask("POST", "/v1/customers", { name: "", ...content });
    await leave(`/customers/${made.id}`);
  });
}
await loadLists();
