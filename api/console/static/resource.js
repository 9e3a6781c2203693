// Directory objects: a list, and one dialog that makes and changes them.

import { ask } from "./api.js";
import { all, one, say } from "./dom.js";
import { onSubmit, open } from "./form.js";
import { lists, loadLists } from "./list.js";
import { pickers } from "./picker.js";
import { t } from "./words.js";

// What may be left empty, and is then nothing; what is then as if it had never been set; and what is set when an object is
// made and stays.
const NULLABLE = ["name", "mobile", "contact", "level_id", "description"];
const UNSET = { executor_settings: () => ({}), min_quantity: ({ min }) => Number(min), max_quantity: ({ max }) => Number(max) };
const FIXED = ["sku", "customer_id", "password"];
const BORN_ACTIVE = ["/v1/products", "/v1/webhooks"];
const [list] = lists;
const path = list.path.split("?")[0];
const dialog = one("#editor"), form = one("form", dialog);
let edited = null;

function edit(row) {
  edited = row;
  for (const name of FIXED) if (form.elements[name]) form.elements[name].disabled = row !== null;
  if (path === "/v1/api-keys" && form.elements.role) form.elements.role.disabled = row !== null;
  if (form.elements.active) form.elements.active.closest(".form-check").hidden = row === null && !BORN_ACTIVE.includes(path);
  open("editor", row ?? {});
  for (const each of pickers) each.restore();
}

for (const button of all("[data-open]")) button.addEventListener("click", () => edit(null));

if (list.table.dataset.editor) {
  list.addAction(t("Edit"), edit);
  if (path === "/v1/users") list.addAction(t("New password"), resetPassword);
  if (path === "/v1/roles") list.addAction(t("Menu"), (row) => location.assign(`/roles/${row.id}/menu`));
  list.addAction(t("Delete"), remove, { colour: "danger" });
}

onSubmit(form, async (content) => {
  if (edited === null) {
    if (path === "/v1/users" || path === "/v1/api-keys") delete content.active;
    const made = await ask("POST", path, content);
    dialog.close();
    if (made.key ?? made.secret) showSecret(made.key ?? made.secret);
  } else {
    await ask("PATCH", `${path}/${edited.id}`, { ...emptied(), ...content }, { "If-Match": `"${edited.revision}"` });
    dialog.close();
    say(t("Saved."));
  }
  await list.load();
});

// What was emptied is told, or it would stay. What must be there is for the service to refuse, beside its field.
function emptied() {
  const found = {};
  for (const input of form.elements) {
    if (!(input.name in edited) || input.disabled || input.value.trim()) continue;
    if (input.required) found[input.name] = "";
    else if (NULLABLE.includes(input.name)) found[input.name] = null;
    else found[input.name] = UNSET[input.name]?.(input);
  }
  return found;
}

async function remove(row) {
  if (!confirm(t("Delete {name}?", { name: row.name ?? row.username ?? row.sku ?? row.url }))) return;
  try {
    await ask("DELETE", `${path}/${row.id}`);
    await list.load();
  } catch (problem) {
    say(problem.message, "danger");
  }
}

async function resetPassword(row) {
  if (!confirm(t("Give {name} a new password and end all sessions?", { name: row.username }))) return;
  try {
    const { password } = await ask("POST", `${path}/${row.id}/password`, {});
    say(t("The new password of {name} is {password}", { name: row.username, password }));
  } catch (problem) {
    say(problem.message, "danger");
  }
}

function showSecret(secret) {
  const shown = open("secret");
  one("#secret-text").textContent = secret;
  one("form", shown).addEventListener("submit", (event) => {
    event.preventDefault();
    one("#secret-text").textContent = "";
    shown.close();
  }, { once: true });
}

await loadLists();
