// Shows /openapi.json: operations with their parameters, bodies and answers, and a form to try each.
// Everything is put in as text, never as markup.

const METHODS = ["get", "post", "patch", "delete"];

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
};

const resolved = (api, node) => {
  if (!node || !node.$ref) return node;
  return node.$ref.slice(2).split("/").reduce((inner, step) => inner[step], api);
};

const typeOf = (schema) => {
  if (!schema) return "";
  if (schema.$ref) return schema.$ref.split("/").pop();
  if (schema.anyOf || schema.oneOf) return (schema.anyOf || schema.oneOf).map(typeOf).join(" | ");
  const type = [schema.type].flat().filter(Boolean).join(" | ") || "any";
  return schema.items ? `list of ${typeOf(schema.items)}` : type;
};

const limitsOf = (schema) => {
  const words = [];
  if (!schema) return "";
  if (schema.enum) words.push(schema.enum.join(" · "));
  if (schema.pattern) words.push(schema.pattern);
  if (schema.format) words.push(schema.format);
  if (schema.minimum !== undefined) words.push(`from ${schema.minimum}`);
  if (schema.maximum !== undefined) words.push(`to ${schema.maximum}`);
  if (schema.maxLength !== undefined) words.push(`at most ${schema.maxLength} characters`);
  if (schema.default !== undefined) words.push(`default ${JSON.stringify(schema.default)}`);
  return words.join(", ");
};

const table = (heads, rows) =>
  make(
    "table", {},
    make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))),
    make("tbody", {}, ...rows.map((row) => make("tr", {}, ...row.map((cell) => make("td", {}, cell ?? ""))))),
  );

const properties = (schema) => {
  const required = new Set(schema.required || []);
  const rows = Object.entries(schema.properties || {}).map(([name, inner]) => [
    make("code", {}, name + (required.has(name) ? " *" : "")), typeOf(inner), limitsOf(inner), inner.description,
  ]);
  return rows.length ? table(["field", "type", "limits", ""], rows) : make("p", {}, typeOf(schema));
};

const example = (api, schema, depth = 0) => {
  const whole = resolved(api, schema) || {};
  if (depth > 4) return null;
  if (whole.properties) {
    const wanted = whole.required || Object.keys(whole.properties);
    return Object.fromEntries(wanted.map((name) => [name, example(api, whole.properties[name], depth + 1)]));
  }
  const type = [whole.type].flat()[0];
  if (type === "array") return [example(api, whole.items, depth + 1)];
  if (whole.enum) return whole.enum[0];
  if (type === "integer" || type === "number") return whole.minimum ?? 1;
  if (type === "boolean") return false;
  if (type === "object") return {};
  return whole.pattern && whole.pattern.includes("[0-9]{0,14}") ? "1.00" : "";
};

const tryForm = (api, path, method, operation) => {
  const inputs = [];
  const form = make("form", { class: "try" });
  for (const given of operation.parameters || []) {
    const parameter = resolved(api, given);
    const value = parameter.name === "Idempotency-Key" ? crypto.randomUUID?.() ?? String(Date.now()) : "";
    const input = make("input", { name: parameter.name, value, required: Boolean(parameter.required) });
    inputs.push([parameter, input]);
    form.append(make("label", {}, `${parameter.name} (${parameter.in})`, input));
  }
  const content = operation.requestBody?.content?.["application/json"];
  const body = content ? make("textarea", { spellcheck: "false" }) : null;
  if (body) {
    body.value = JSON.stringify(example(api, content.schema), null, 2);
    form.append(make("label", {}, "body", body));
  }
  const output = make("pre", { hidden: true, role: "status" });
  form.append(make("div", {}, make("button", { type: "submit" }, "Send")), output);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    output.hidden = false;
    output.textContent = "…";
    output.textContent = await send(path, method, inputs, body);
  });
  return form;
};

const send = async (path, method, inputs, body) => {
  const headers = {};
  const query = new URLSearchParams();
  let target = path;
  for (const [parameter, input] of inputs) {
    if (input.value === "" && parameter.in !== "path") continue;
    if (parameter.in === "path") target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value));
    if (parameter.in === "query") query.set(parameter.name, input.value);
    if (parameter.in === "header") headers[parameter.name] = input.value;
  }
  const key = document.querySelector("#key").value.trim();
  if (key) headers.Authorization = `Bearer ${key}`;
  if (body) headers["Content-Type"] = "application/json";
  const asked = query.size === 0 ? "" : `?${query}`;
  try {
    const answer = await fetch(target + asked, { method: method.toUpperCase(), headers, body: body ? body.value : undefined });
    const text = await answer.text();
    const lines = [...answer.headers].map(([name, value]) => `${name}: ${value}`);
    return `${answer.status} ${answer.statusText}\n${lines.join("\n")}\n\n${pretty(text)}`;
  } catch (error) {
    return `no answer: ${error.message}`;
  }
};

const pretty = (text) => {
  try {
    return JSON.stringify(JSON.parse(text), null, 2);
  } catch {
    return text;
  }
};

const showOperation = (api, path, method, operation) => {
  const inside = make("div", {});
  const shown = make(
    "details", { id: operation.operationId },
    make(
      "summary", {},
      make("span", { class: `method ${method}` }, method.toUpperCase()), make("span", { class: "path" }, path),
      make("span", {}, operation.summary || ""), make("span", { class: "permission" }, operation["x-permission"] || "public"),
    ),
    inside,
  );
  shown.addEventListener("toggle", () => {
    if (!shown.open || inside.childElementCount > 0) return;
    const parameters = (operation.parameters || []).map((each) => resolved(api, each));
    if (parameters.length) {
      inside.append(make("h3", {}, "Parameters"), table(
        ["name", "in", "type", "limits", ""],
        parameters.map((each) => [
          make("code", {}, each.name + (each.required ? " *" : "")), each.in, typeOf(each.schema), limitsOf(each.schema), each.description,
        ]),
      ));
    }
    const body = operation.requestBody?.content?.["application/json"];
    if (body) inside.append(make("h3", {}, `Body: ${typeOf(body.schema)}`), properties(resolved(api, body.schema)));
    inside.append(make("h3", {}, "Answers"), table(
      ["status", "", "schema"],
      Object.entries(operation.responses).map(([status, given]) => {
        const answer = resolved(api, given);
        const kinds = Object.entries(answer.content || {}).map(([kind, one]) => `${kind}: ${typeOf(one.schema)}`);
        return [status, answer.description, kinds.join("; ")];
      }),
    ));
    inside.append(make("h3", {}, "Try it"), tryForm(api, path, method, operation));
  });
  shown.dataset.words = `${method} ${path} ${operation.summary} ${operation.operationId} ${operation["x-permission"] || ""}`.toLowerCase();
  return shown;
};

const show = (api) => {
  document.querySelector("#title").textContent = `${api.info.title} API`;
  document.querySelector("#description").textContent = api.info.description || "";
  const sections = new Map();
  for (const [path, operations] of Object.entries(api.paths)) {
    for (const method of METHODS.filter((each) => operations[each])) {
      const operation = operations[method];
      const tag = (operation.tags || ["other"])[0];
      if (!sections.has(tag)) sections.set(tag, make("section", {}, make("h2", {}, tag.replaceAll("_", " "))));
      sections.get(tag).append(showOperation(api, path, method, operation));
    }
  }
  document.querySelector("#operations").append(...sections.values());
  const list = document.querySelector("#schemas");
  for (const [name, schema] of Object.entries(api.components.schemas)) {
    list.append(make("details", {}, make("summary", {}, make("code", {}, name)), make("div", {}, properties(schema))));
  }
  document.querySelector("#find").addEventListener("input", (event) => {
    const wanted = event.target.value.toLowerCase();
    for (const each of document.querySelectorAll("#operations details")) each.hidden = !each.dataset.words.includes(wanted);
  });
};

const answer = await fetch("/openapi.json");
if (answer.ok) show(await answer.json());
else document.querySelector("#description").textContent = `openapi.json could not be read: ${answer.status}`;
