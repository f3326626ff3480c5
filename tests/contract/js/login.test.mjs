// Official JavaScript clients log a person in by authorization code, and do with that session what a fleet does besides sending.
//
// See contract.test.mjs; the extensions of these tests are others.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import RingCentral from '@rc-ex/core';
import { SDK } from '@ringcentral/sdk';

import { signIn, withWebhook } from './person.mjs';

const simulator = JSON.parse(process.env.SIMULATOR);
const REDIRECT_URI = 'http://127.0.0.1:9/callback?of=contract';
const CUSTOMER = '+15550200077';
let accounts;

async function admin(method, path, body) {
  const headers = { 'Content-Type': 'application/json' };
  const answer = await fetch(`${simulator.admin_url}${path}`, { method, headers, body: JSON.stringify(body) });
  assert.ok(answer.ok, await answer.clone().text());
  return answer.json();
}

before(async () => {
  accounts = await (await fetch(`${simulator.accounts_url}?passwords=true`)).json();
  await admin('PATCH', '/app', { redirect_uris: [REDIRECT_URI] });
});

function sdkOf(clientSecret) {
  const options = { server: simulator.base_url, clientId: simulator.client_id, redirectUri: REDIRECT_URI };
  return new SDK(clientSecret ? { ...options, clientSecret } : options).platform();
}

async function logIn(platform, account) {
  const url = platform.loginUrl({ usePKCE: true, state: 'a&b c' });
  const back = await signIn(url, account.extension_number, account.password);
  assert.ok(back.href.startsWith(`${REDIRECT_URI}&code=`), back.href);
  const { code, state, expires_in: lifetime } = platform.parseLoginRedirect(back.search);
  assert.equal(state, 'a&b c');
  assert.equal(lifetime, '60');
  await platform.login({ code });
}

test('@ringcentral/sdk logs in by code and PKCE, refreshes, reads the call log, subscribes and revokes', async () => {
  const account = accounts[7];
  const platform = sdkOf(simulator.client_secret);
  await logIn(platform, account);
  const first = await platform.auth().data();
  assert.equal(first.owner_id, account.extension_id);
  await platform.refresh();
  assert.notEqual((await platform.auth().data()).access_token, first.access_token);

  const log = await (
    await platform.get('/restapi/v1.0/account/~/extension/~/call-log', { view: 'Detailed', perPage: 5, direction: ['Inbound'] })
  ).json();
  assert.equal(log.records.length, 5);
  assert.ok(log.records.every((record) => record.direction === 'Inbound' && record.legs.length > 0));
  assert.ok(log.navigation.nextPage.uri);

  await withWebhook(async (hook) => {
    const instant = '/restapi/v1.0/account/~/extension/~/message-store/instant?type=SMS';
    const made = await (
      await platform.post('/restapi/v1.0/subscription', {
        eventFilters: [instant],
        deliveryMode: { transportType: 'WebHook', address: hook.address, verificationToken: 'secret' },
        expiresIn: 600,
      })
    ).json();
    assert.equal(made.status, 'Active');
    const arrived = await admin('POST', `/extensions/${account.extension_id}/inbound`, { from: CUSTOMER, text: 'STOP' });
    const { headers, body } = await hook.next();
    assert.equal(headers['verification-token'], 'secret');
    assert.equal(body.subscriptionId, made.id);
    assert.equal(body.body.id, String(arrived.id));
    assert.equal(body.body.subject, 'STOP');
    assert.equal((await platform.delete(`/restapi/v1.0/subscription/${made.id}`)).status, 204);
  });

  await platform.logout();
  await assert.rejects(platform.get('/restapi/v1.0/account/~/extension/~'));
});

test('@ringcentral/sdk logs in without a secret when the app is public', async () => {
  await admin('PATCH', '/app', { public_client: true });
  try {
    const platform = sdkOf();
    await logIn(platform, accounts[8]);
    await platform.refresh();
    const me = await (await platform.get('/restapi/v1.0/account/~/extension/~')).json();
    assert.equal(String(me.id), accounts[8].extension_id);
    await platform.logout();
  } finally {
    await admin('PATCH', '/app', { public_client: false });
  }
});

test('@rc-ex/core logs in by code, reads the call log and syncs messages and consents', async () => {
  const account = accounts[9];
  const parameters = { response_type: 'code', client_id: simulator.client_id, redirect_uri: REDIRECT_URI };
  const url = `${simulator.base_url}/restapi/oauth/authorize?${new URLSearchParams(parameters)}`;
  const back = await signIn(url, account.numbers[0], account.password);
  const rc = new RingCentral({
    server: simulator.base_url,
    clientId: simulator.client_id,
    clientSecret: simulator.client_secret,
  });
  await rc.authorize({ code: back.searchParams.get('code'), redirect_uri: REDIRECT_URI });
  assert.equal(rc.token.owner_id, account.extension_id);

  const log = await rc.restapi().account().callLog().list({ view: 'Simple', perPage: 3 });
  assert.equal(log.records.length, 3);
  const extension = rc.restapi().account().extension();
  assert.ok((await extension.authzProfile().check().get({ permissionId: 'OutboundSMS' })).successful);
  const number = (await extension.phoneNumber().get()).records[0];
  // This client's own call leaves the number's id out of the path.
  const path = `${extension.phoneNumber().path()}/${number.id}/sms-configuration`;
  assert.equal((await rc.get(path)).data.smsCampaignInfo.status, 'Confirmed');

  const full = await extension.messageSync().get({ syncType: 'FSync' });
  const arrived = await admin('POST', `/extensions/${account.extension_id}/inbound`, { from: CUSTOMER, text: 'hello' });
  const changed = await extension.messageSync().get({ syncType: 'ISync', syncToken: full.syncInfo.syncToken });
  assert.deepEqual(changed.records.map((record) => record.id), [arrived.id]);

  const consents = rc.restapi().v2().accounts().sms().consents();
  const record = { from: account.numbers[0], to: CUSTOMER, optStatus: 'OptOut', source: 'Api' };
  await consents.patch({ records: [record] });
  const found = await consents.search().post({ from: [account.numbers[0]] });
  assert.equal(found.records[0].to, CUSTOMER);
  assert.equal(found.records[0].optStatus, 'OptOut');
  await rc.revoke();
});
