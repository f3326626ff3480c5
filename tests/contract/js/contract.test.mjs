// What the official JavaScript clients do against the simulator. They must not be able to tell it from RingCentral.
//
// `SIMULATOR` holds the JSON line that the simulator prints at start. It needs ten extensions, RingCentral's default plan and
// refresh tokens. The Auth plan allows five logins a minute for each user, so each test has an extension of its own.

import assert from 'node:assert/strict';
import { before, test } from 'node:test';

import RingCentral from '@rc-ex/core';
import { SDK } from '@ringcentral/sdk';

const simulator = JSON.parse(process.env.SIMULATOR);
const HEAVY_LIMIT = 10;
const STRANGER = '+15550199999';
let accounts;

before(async () => {
  accounts = await (await fetch(simulator.accounts_url)).json();
});

/** Runs `call` until it is refused for its rate; returns the error. */
async function untilThrottled(call) {
  for (let i = 0; i < HEAVY_LIMIT; i += 1) await call();
  try {
    await call();
  } catch (error) {
    return error;
  }
  throw new Error('the plan was exceeded and nobody minded');
}

async function sdkPlatform(account) {
  const sdk = new SDK({
    server: simulator.base_url,
    clientId: simulator.client_id,
    clientSecret: simulator.client_secret,
  });
  const platform = sdk.platform();
  await platform.login({ jwt: account.jwt });
  return platform;
}

async function rcExtensible(account) {
  const rc = new RingCentral({
    server: simulator.base_url,
    clientId: simulator.client_id,
    clientSecret: simulator.client_secret,
  });
  await rc.authorize({ jwt: account.jwt });
  return rc;
}

test('@ringcentral/sdk logs in, refreshes, sends and reads back', async () => {
  const account = accounts[0];
  const platform = await sdkPlatform(account);
  const first = await platform.auth().data();
  assert.equal(first.owner_id, account.extension_id);
  assert.equal(first.token_type, 'bearer');

  await platform.refresh();
  const second = await platform.auth().data();
  assert.notEqual(second.access_token, first.access_token);

  const me = await (await platform.get('/restapi/v1.0/account/~/extension/~')).json();
  assert.equal(String(me.id), account.extension_id);
  const company = await (await platform.get('/restapi/v1.0/account/~')).json();
  assert.equal(String(company.id), account.account_id);
  const numbers = await (await platform.get('/restapi/v1.0/account/~/extension/~/phone-number')).json();
  const sender = numbers.records.find((record) => record.features.includes('SmsSender'));
  assert.equal(sender.phoneNumber, account.numbers[0]);

  const response = await platform.post('/restapi/v1.0/account/~/extension/~/sms', {
    from: { phoneNumber: sender.phoneNumber },
    to: [{ phoneNumber: '+15550200001' }],
    text: 'Grüße from the contract test 😀',
  });
  assert.equal(response.status, 200);
  assert.equal(response.headers.get('X-Rate-Limit-Group'), 'medium');
  assert.equal(response.headers.get('X-Rate-Limit-Limit'), '40');
  assert.ok(response.headers.get('RCRequestId'));
  const sent = await response.json();
  assert.equal(sent.messageStatus, 'Queued');

  const read = await (await platform.get(`/restapi/v1.0/account/~/extension/~/message-store/${sent.id}`)).json();
  assert.equal(read.subject, 'Grüße from the contract test 😀');
  const list = await (
    await platform.get('/restapi/v1.0/account/~/extension/~/message-store', {
      direction: 'Outbound',
      messageType: ['SMS', 'Fax'],
      phoneNumber: '+15550200001',
    })
  ).json();
  assert.deepEqual(list.records.map((record) => record.id), [sent.id]);
  await platform.logout();
  await assert.rejects(platform.get('/restapi/v1.0/account/~/extension/~'));
});

test("@ringcentral/sdk sees whose number it isn't, and the rate limit", async () => {
  const platform = await sdkPlatform(accounts[1]);
  const wrong = platform.post('/restapi/v1.0/account/~/extension/~/sms', {
    from: { phoneNumber: accounts[0].numbers[0] },
    to: [{ phoneNumber: '+15550200002' }],
    text: 'not mine',
  });
  const refused = await wrong.then(assert.fail, (error) => error);
  assert.equal(refused.response.status, 403);
  const body = await refused.response.clone().json();
  assert.equal(body.errorCode, 'FeatureNotAvailable');
  assert.equal(body.errors[0].errorCode, 'MSG-304');

  const throttled = await untilThrottled(() => platform.get('/restapi/v1.0/account/~/phone-number', { perPage: 1000 }));
  assert.equal(throttled.response.status, 429);
  assert.equal(throttled.response.headers.get('Retry-After'), '60');
  assert.equal((await throttled.response.clone().json()).errorCode, 'CMN-301');
});

test('@rc-ex/core logs in, refreshes, sends (as multipart) and reads back', async () => {
  const account = accounts[2];
  const rc = await rcExtensible(account);
  const first = rc.token;
  assert.equal(first.owner_id, account.extension_id);
  await rc.refresh();
  assert.notEqual(rc.token.access_token, first.access_token);

  const extension = rc.restapi().account().extension();
  assert.equal(String((await extension.get()).id), account.extension_id);
  assert.equal(String((await rc.restapi().account().get()).id), account.account_id);
  const numbers = await extension.phoneNumber().get();
  assert.ok(numbers.records[0].features.includes('SmsSender'));

  const sent = await extension.sms().post({
    from: { phoneNumber: account.numbers[0] },
    to: [{ phoneNumber: '+15550200003' }],
    text: 'multipart ü',
  });
  assert.equal(sent.messageStatus, 'Queued');
  assert.equal(sent.subject, 'multipart ü');
  const read = await extension.messageStore(String(sent.id)).get();
  assert.equal(read.id, sent.id);
  const list = await extension.messageStore().list({ phoneNumber: '+15550200003', messageType: ['SMS'] });
  assert.equal(list.records[0].subject, 'multipart ü');

  const dead = rc.token;
  await rc.revoke();
  rc.token = dead;
  const gone = await extension.get().then(assert.fail, (error) => error);
  assert.equal(gone.response.status, 401);
  assert.equal(gone.response.data.errors[0].errorCode, 'OAU-213');
});

test("@rc-ex/core sees whose number it isn't, and the rate limit", async () => {
  const rc = await rcExtensible(accounts[3]);
  const wrong = rc.restapi().account().extension().sms().post({
    from: { phoneNumber: STRANGER },
    to: [{ phoneNumber: '+15550200004' }],
    text: 'not mine',
  });
  const refused = await wrong.then(assert.fail, (error) => error);
  assert.equal(refused.response.status, 403);
  assert.equal(refused.response.data.errors[0].errorCode, 'MSG-304');

  const throttled = await untilThrottled(() => rc.restapi().account().phoneNumber().list());
  assert.equal(throttled.response.status, 429);
  assert.equal(throttled.response.headers['retry-after'], '60');
  assert.equal(throttled.response.data.errorCode, 'CMN-301');
});
