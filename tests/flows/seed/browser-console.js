const token = 'YOUR_TOKEN_HERE';
const ws = new WebSocket(`ws://localhost:8080?token=${token}`);

ws.onopen = () => {
  console.log('Connected!');
  ws.send(JSON.stringify({
    action: 'start_charging',
    data: { charger_id: 'CP001', connector_id: 1 }
  }));
};

ws.onmessage = (e) => {
  console.log('Received:', JSON.parse(e.data));
  
  // After receiving start response, wait and stop
  setTimeout(() => {
    ws.send(JSON.stringify({
      action: 'stop_charging',
      data: { charger_id: 'CP001' }
    }));
  }, 5000);
};
