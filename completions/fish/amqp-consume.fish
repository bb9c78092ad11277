complete -c amqp-consume -s q -l queue -d 'The queue to consume from [default: a new one, named by the broker]' -r
complete -c amqp-consume -s e -l exchange -d 'Declare the queue and bind it to this exchange' -r
complete -c amqp-consume -s r -l routing-key -d 'The routing keys to bind with, separated by commas' -r
complete -c amqp-consume -s c -l count -d 'End after N messages, with the status of the first command that failed [default: no limit]' -r
complete -c amqp-consume -s p -l prefetch-count -d 'How many unacknowledged messages the broker may hand over; 0: 65535 [default: as many as --jobs; with --json 100]' -r
complete -c amqp-consume -s j -l jobs -d 'How many commands may run at once' -r
complete -c amqp-consume -l stdin -d 'What the command\'s standard input is: pipe, or file, which can be sought in and opened as /dev/stdin [default: pipe]' -r -f -a "pipe\t''
file\t''"
complete -c amqp-consume -l joblog -d 'Append a line about each command to this file' -r -F
complete -c amqp-consume -l timeout -d 'End a command that runs longer, by SIGTERM and 5s later SIGKILL; it has failed, with status 124' -r
complete -c amqp-consume -l idle-timeout -d 'End when no message has come for that long and nothing runs; 0s: when the queue is empty' -r
complete -c amqp-consume -l idle-status -d 'The exit status if --idle-timeout passes and not one message was handled [default: 0]' -r
complete -c amqp-consume -l grace -d 'After SIGTERM or SIGINT, end commands that still run after that long [default: let them finish]' -r
complete -c amqp-consume -l retries -d 'Run the command again, up to N times, on a message before that counts as failed' -r
complete -c amqp-consume -l retry-delay -d 'The pause before the first retry, doubled before each further one [default: 1s]' -r
complete -c amqp-consume -l on-failure -d 'What becomes of a message whose command failed: requeue, reject (to the queue\'s dead-letter exchange; without one it is gone) or ack [default: requeue]' -r -f -a "requeue\t''
reject\t''
ack\t''"
complete -c amqp-consume -l on-exit -d 'The same for certain exit statuses, such as 65=reject or 64-78,99=requeue; may be given several times' -r
complete -c amqp-consume -l max-attempts -d 'Reject a message that has failed N times instead of requeueing it' -r
complete -c amqp-consume -l park -d 'Put a message that has failed --max-attempts times into this queue instead of rejecting it' -r
complete -c amqp-consume -l delivery-limit -d 'The queue\'s delivery limit: a message close to it goes to the queue\'s tail, so that the broker does not drop it; 0: it may [default: 20 with RabbitMQ 4.0 or later]' -r
complete -c amqp-consume -s u -l url -d 'The broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn' -r
complete -c amqp-consume -s s -l server -d 'The broker\'s host [default: localhost]' -r
complete -c amqp-consume -l port -d 'The port [default: 5672, with TLS 5671]' -r
complete -c amqp-consume -l vhost -d 'The virtual host [default: /]' -r
complete -c amqp-consume -l username -d 'The user to log in as [default: guest]' -r
complete -c amqp-consume -l password -d 'The user\'s password [default: guest]; others on this machine can see it in the process list, see --authfile' -r
complete -c amqp-consume -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-consume -l authfile -d 'A file with the two lines username:NAME and password:SECRET' -r -F
complete -c amqp-consume -l connect-timeout -d 'How long connecting may take: name, TCP, TLS and login together [default: 10s]' -r
complete -c amqp-consume -l retry -d 'How long to keep trying while the broker cannot be reached [default: 0s]' -r
complete -c amqp-consume -l cacert -d 'Certificates of authorities to trust besides the system\'s, in PEM' -r -F
complete -c amqp-consume -l cert -d 'The client\'s certificate, in PEM' -r -F
complete -c amqp-consume -l key -d 'The client\'s private key, in PEM' -r -F
complete -c amqp-consume -s d -l declare -d 'Declare the queue; it ends with its last consumer'
complete -c amqp-consume -s x -l exclusive -d 'Declare the queue for this connection alone'
complete -c amqp-consume -s A -l no-ack -d 'Acknowledge each message before its command runs: if that fails, the message is gone'
complete -c amqp-consume -l json -d 'Without COMMAND: write each message to standard output as a line of JSON, and acknowledge it then'
complete -c amqp-consume -l ssl -d 'Connect by TLS, and by nothing else; so does a URL of amqps://'
complete -c amqp-consume -l no-default-cert-paths -d 'Trust none of the system\'s certificates, only --cacert'
complete -c amqp-consume -l insecure -d 'Trust any server, whatever its certificate: anyone between you and it can read along'
complete -c amqp-consume -s ? -l help -d 'Show this help and exit'
complete -c amqp-consume -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-consume -s V -l version -d 'Print version'
