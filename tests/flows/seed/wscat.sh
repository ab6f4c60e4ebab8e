# Install wscat
npm install -g wscat

# Connect
wscat -c "ws://localhost:8080?token=YOUR_TOKEN"

# Once connected, send messages:
# Start charging:
{"action":"start_charging","data":{"charger_id":"CP001","connector_id":1}}

# Stop charging:
{"action":"stop_charging","data":{"charger_id":"CP001"}}
