// A browser that logs in at the broker by way of oidc-provider, as somebody:
//
//   node oidc_login.mjs BROKER USER
//
// BROKER is http://ADDRESS of the admin API. Prints as JSON what the way back answered, and what GET /api/v1/login says then.
const [broker, user] = process.argv.slice(2);

// Cookies by name, with the path that they are for. Browsers do not separate them by port.
const jar = new Map();

function keep(response) {
  for (const line of response.headers.getSetCookie()) {
    const [pair, ...rest] = line.split("; ");
    const at = pair.indexOf("=");
    const path = rest.find((part) => part.toLowerCase().startsWith("path="))?.slice(5) ?? "/";
    if (pair.slice(at + 1) === "") jar.delete(pair.slice(0, at));
    else jar.set(pair.slice(0, at), { value: pair.slice(at + 1), path });
  }
}

async function visit(url, options = {}) {
  const { pathname } = new URL(url);
  const fitting = [...jar].filter(([, { path }]) => pathname.startsWith(path));
  const cookie = fitting.map(([name, { value }]) => `${name}=${value}`).join("; ");
  const headers = { ...options.headers, ...(cookie && { cookie }) };
  const response = await fetch(url, { ...options, headers, redirect: "manual" });
  keep(response);
  return response;
}

let url = `${broker}/api/v1/login/oidc?next=/clients`;
let answer;
for (let step = 0; step < 20; step += 1) {
  let response = await visit(url);
  const page = response.status === 200 ? await response.text() : "";
  const prompt = page.match(/name="prompt" value="(\w+)"/)?.[1];
  if (prompt) {
    const form = new URLSearchParams({ prompt, login: user, password: "any" });
    response = await visit(page.match(/action="([^"]+)" method="post"/)[1], { method: "POST", body: form });
  }
  if (![302, 303].includes(response.status)) {
    answer = { status: response.status, page: page || (await response.text()) };
    break;
  }
  // The registered way back, on the port where the broker really is.
  url = new URL(response.headers.get("location"), url).href.replace("http://127.0.0.1:1/", `${broker}/`);
}
const me = await visit(`${broker}/api/v1/login`);
console.log(JSON.stringify({ ...answer, me: await me.json(), cookies: [...jar.keys()] }));
