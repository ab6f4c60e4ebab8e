const WebSocket = require('ws');

const token = 'YOUR_TOKEN_HERE';
const ws = new WebSocket(`ws://localhost:8080?token=${token}`);

ws.on('open', () => {
  console.log('✅ Connected!');
  
  // Start charging
  console.log('\n📤 Sending start_charging...');
  ws.send(JSON.stringify({
    action: 'start_charging',
    data: {
      charger_id: 'CP001',
      connector_id: 1
    }
  }));
});

ws.on('message', (data) => {
  const message = JSON.parse(data.toString());
  console.log('\n📥 Received:', JSON.stringify(message, null, 2));
  
  if (message.type === 'response' && message.action === 'start_charging') {
    // Wait 5 seconds, then stop
    setTimeout(() => {
      console.log('\n📤 Sending stop_charging...');
      ws.send(JSON.stringify({
        action: 'stop_charging',
        data: {
          charger_id: 'CP001'
        }
      }));
    }, 5000);
  }
  
  if (message.type === 'response' && message.action === 'stop_charging') {
    console.log('\n✅ Test complete!');
    ws.close();
  }
});

ws.on('error', (error) => {
  console.error('❌ Error:', error.message);
});
