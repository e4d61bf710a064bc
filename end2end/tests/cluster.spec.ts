// Pages of several nodes, one of which is killed (RC-8).

import { expect, test } from '../fixtures/app';
import { Cluster } from '../fixtures/cluster';
import { expectSameLog, numbered } from '../pages/room-page';

let cluster: Cluster;

test.beforeEach(async () => {
  cluster = await Cluster.start();
});

test.afterEach(() => cluster.dispose());

test('pages of two nodes see each other type, and one whose node is killed goes on at another', async ({
  openPage,
  chaos,
}) => {
  const [first, second] = cluster.nodes;
  const ada = await openPage('lobby', { via: first! });
  const bob = await openPage('lobby', { via: second! });
  await ada.type('Hello, Bob');
  await expect(bob.typing.locator('.body')).toHaveText('Hello, Bob');
  await expect(bob.people.getByRole('listitem')).toHaveCount(2);
  await ada.input.clear();
  await expect(bob.typing.getByRole('listitem')).toHaveCount(0);

  const said = { ada: numbered('ada', 12), bob: numbered('bob', 12) };
  const talking = Promise.all([ada.sendAll(said.ada), bob.sendAll(said.bob)]);
  await expect(bob.message(said.ada[0]!)).toBeVisible();
  // What dies with it logs errors in the page.
  chaos.wasDisturbed = true;
  cluster.kill(first!);
  await talking;
  await ada.expectState('live');
  await expectSameLog([ada, bob], said.ada, said.bob);
  const resumed = ada.wire.since(0, 'welcome').map(({ fields }) => fields.resumed);
  expect(resumed).toEqual([false, true]);
  await ada.type('still here');
  await expect(bob.typing.locator('.body')).toHaveText('still here');
  await expect(bob.people.getByRole('listitem')).toHaveCount(2);
});
