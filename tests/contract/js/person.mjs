// Who the official clients leave out: a person at the login page, and a webhook.

import { createServer } from 'node:http';

/** Fills in the form behind `url` and returns where the browser is sent. */
export async function signIn(url, login, password) {
  const page = await fetch(url);
  const html = await page.text();
  if (page.status !== 200) throw new Error(`no form: ${html}`);
  const form = new URLSearchParams();
  for (const [, name, value] of html.matchAll(/<input type="hidden" name="([^"]*)" value="([^"]*)">/g)) {
    form.set(name, value.replaceAll('&amp;', '&'));
  }
  form.set('login', login);
  form.set('password', password);
  form.set('decision', 'allow');
  const action = new URL(html.match(/<form method="post" action="([^"]*)"/)[1], url);
  const answer = await fetch(action, { method: 'POST', body: form, redirect: 'manual' });
  if (answer.status !== 302) throw new Error(`not signed in: ${await answer.text()}`);
  return new URL(answer.headers.get('location'));
}

/** Serves a webhook while `use(hook)` runs. */
export async function withWebhook(use) {
  const got = [];
  const waiting = [];
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk) => { body += chunk; });
    request.on('end', () => {
      const token = request.headers['validation-token'];
      if (token) response.setHeader('Validation-Token', token);
      response.end();
      if (!token) {
        got.push({ headers: request.headers, body: JSON.parse(body) });
        waiting.splice(0).forEach((wake) => wake());
      }
    });
  });
  await new Promise((ready) => { server.listen(0, '127.0.0.1', ready); });
  const next = async () => {
    const late = new Promise((_, fail) => { setTimeout(fail, 10_000, new Error('the webhook was told nothing')).unref(); });
    while (got.length === 0) await Promise.race([new Promise((wake) => { waiting.push(wake); }), late]);
    return got.shift();
  };
  try {
    await use({ address: `http://127.0.0.1:${server.address().port}/`, next });
  } finally {
    server.closeAllConnections();
    server.close();
  }
}
