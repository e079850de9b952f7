// What a Node user writes: Asterisk's own ari-client, and fetch for the webhook.
import { createRequire } from 'node:module';

const client = createRequire(process.env.NODE_ROOT + '/package.json')('ari-client');
const { ARI, HOOK, WANTED } = process.env;
const ALL = 'StasisStart,StasisEnd,ChannelStateChange,ChannelDestroyed,ChannelHangupRequest,ChannelDialplan,' +
  'ChannelVarset,ChannelCreated,ChannelConnectedLine,ChannelCallerId';

const ari = await client.connect(ARI, 'hookrouter', 'hookrouter');
for (const type of (WANTED || ALL).split(',')) {
  ari.on(type, async (event) => {
    try {
      const headers = { 'content-type': 'application/json' };
      const answer = await fetch(HOOK, { method: 'POST', headers, body: JSON.stringify(event) });
      for (const step of await answer.json()) {
        const channelId = event.channel.id;
        if (step.action === 'answer') await ari.channels.answer({ channelId });
        else if (step.action === 'hangup') await ari.channels.hangup({ channelId });
      }
    } catch (error) {
      console.error(String(error));
    }
  });
}
await ari.start('hookrouter');
console.log('up');
