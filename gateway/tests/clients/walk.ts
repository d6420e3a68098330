// Walks through a reservation with the client that openapi-typescript generates, refusals included.

import assert from 'node:assert/strict';
import createClient from 'openapi-fetch';
import type { components, paths } from './openapi.js';

const { WALK_URL: baseUrl, WALK_BUYER: buyerToken, WALK_SERVICE: serviceToken } = process.env;
assert(baseUrl && buyerToken && serviceToken, 'WALK_URL, WALK_BUYER and WALK_SERVICE are set');

const client = (token?: string) => createClient<paths>({ baseUrl, headers: token ? { authorization: `Bearer ${token}` } : {} });
const [anyone, buyer, service] = [client(), client(buyerToken), client(serviceToken)];
const sale = 'small';

// The problem of a refusal: `type` says which one it is, and so which members it has.
type Refusal = { type: string; status: number };
let refusals = 0;
function refused<P extends Refusal, T extends P['type']>(
  answer: { error?: P; response: Response }, status: P['status'], type: T,
): Extract<P, { type: T }> {
  refusals += 1;
  assert.equal(answer.response.status, status, JSON.stringify(answer.error));
  assert.equal(answer.error?.type, type);
  return answer.error as Extract<P, { type: T }>;
}
function done<D>(answer: { data?: D; error?: unknown; response: Response }, status = 200): D {
  assert.equal(answer.response.status, status, JSON.stringify(answer.error));
  return answer.data as D;
}

const now = new Date(done(await anyone.GET('/v1/time')).server_time);
const page = done(await anyone.GET('/v1/sales/{sale}', { params: { path: { sale } } }));
assert.equal(page.phase, 'open');
assert.equal(page.meta?.['image'], 'https://shop.example/small.webp');
assert.deepEqual(page.packages.map(({ id, models }) => [id, models ?? 'all']), [['cover', ['air-white']], ['maintenance', 'all']]);
assert(new Date(page.opens_at) < now && now < new Date(page.closes_at));
const query = { city: 'GUANGZHOU', available: true };
const { stores } = done(await anyone.GET('/v1/sales/{sale}/stores', { params: { path: { sale }, query } }));
assert.deepEqual(stores.map(({ id }) => id), ['gz-0001'], 'the other store is sold out');

const reserve = (key: string, model: string, store: string) => buyer.POST('/v1/sales/{sale}/reservations', {
  params: { path: { sale }, header: { 'Idempotency-Key': key } },
  body: { model, packages: ['cover'], store },
});
const soldOut = refused(await reserve('first', 'air-white', 'gz-0002'), 409, '/problems/sold-out');
assert.deepEqual(soldOut.items, ['store:gz-0002']);
const held = done(await reserve('walk', 'air-white', 'gz-0001'), 201);
assert.deepEqual([held.state, held.version], ['held', 1]);
assert.equal(Date.parse(held.expires_at ?? '') - Date.parse(held.held_at), 120_000);
const replay = await reserve('walk', 'air-white', 'gz-0001');
assert.equal(done(replay).id, held.id);
assert.equal(replay.response.headers.get('idempotency-replayed'), 'true');
const own = done(await buyer.GET('/v1/sales/{sale}/reservations', { params: { path: { sale } } }));
assert.equal(own.reservations.length, 1);

const of = { params: { path: { sale, id: held.id } } };
const amend = (store = 'sh-0001') => buyer.PATCH('/v1/sales/{sale}/reservations/{id}', { ...of, body: { store, version: 1 } });
const amended = done(await amend());
assert.deepEqual([amended.store, amended.version], ['sh-0001', 2]);
assert.equal(refused(await amend(), 409, '/problems/reservation-changed').version, 2);
refused(await amend('none'), 409, '/problems/reservation-changed');

const confirm = (caller: typeof buyer, payment: string) =>
  caller.POST('/v1/sales/{sale}/reservations/{id}/confirm', { ...of, body: { payment, version: 2 } });
refused(await confirm(buyer, 'pay-1'), 403, '/problems/forbidden');
const confirmed = done(await confirm(service, 'pay-1'));
assert.deepEqual([confirmed.state, confirmed.expires_at], ['confirmed', null]);
assert.equal(refused(await confirm(service, 'pay-2'), 409, '/problems/payment-conflict').state, 'confirmed');

refused(await reserve('walk', 'air-white', 'bj-0001'), 422, '/problems/idempotency-key-reused');
const unknown = refused(await reserve('other', 'air-red', 'gz-0001'), 422, '/problems/unknown-item');
assert.deepEqual(unknown.items, ['model:air-red', 'package:cover']);
const limit = refused(await reserve('other', 'air-white', 'gz-0001'), 409, '/problems/purchase-limit');
assert.deepEqual([limit.reason, limit.reservations], ['per-buyer', [held.id]]);

const cancel = await service.POST('/v1/sales/{sale}/reservations/{id}/cancel', of);
const state: components['schemas']['State'] = done(cancel).state;
assert.equal(state, 'cancelled');
assert.equal(refused(await confirm(service, 'pay-1'), 409, '/problems/reservation-not-held').state, 'cancelled');
assert.equal(done(await service.GET('/v1/sales/{sale}/reservations/{id}', of)).state, 'cancelled');

refused(await anyone.GET('/v1/sales/{sale}/reservations', { params: { path: { sale } } }), 401, '/problems/unauthenticated');
refused(await anyone.GET('/v1/sales/{sale}', { params: { path: { sale: 'none' } } }), 404, '/problems/sale-not-found');
console.log(`the TypeScript client: 1 reservation, ${refusals} refusals`);
