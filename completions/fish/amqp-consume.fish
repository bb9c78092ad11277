complete -c amqp-consume -s q -l queue -d 'Queue to consume from [default: a new one, named by the broker]' -r
complete -c amqp-consume -s e -l exchange -d 'Declare the queue and bind it to this exchange' -r
complete -c amqp-consume -s r -l routing-key -d 'Routing keys to bind with, separated by commas' -r
complete -c amqp-consume -s c -l count -d 'End after N messages, with the first failed command\'s status [default: no limit]' -r
complete -c amqp-consume -s p -l prefetch-count -d 'Prefetch limit (0 = 65535) [default: --jobs; with --json 100]' -r
complete -c amqp-consume -s j -l jobs -d 'Number of commands to run at once' -r
complete -c amqp-consume -l stdin -d 'Kind of standard input for the command: pipe, or file (seekable) [default: pipe]' -r -f -a "pipe\t''
file\t''"
complete -c amqp-consume -l joblog -d 'Append a line about each command to FILE' -r -F
complete -c amqp-consume -l timeout -d 'End a command after this time (SIGTERM, SIGKILL 5s later); it has failed with status 124' -r
complete -c amqp-consume -l idle-timeout -d 'End when no message came for this time and nothing runs (0s = when none is ready)' -r
complete -c amqp-consume -l idle-status -d 'Exit status if --idle-timeout ends a run without any message [default: 0]' -r
complete -c amqp-consume -l grace -d 'Time that running commands have after SIGTERM or SIGINT [default: no limit]' -r
complete -c amqp-consume -l retries -d 'Run a failed command up to N more times on the same message' -r
complete -c amqp-consume -l retry-delay -d 'Pause before the first retry, doubled before each further one [default: 1s]' -r
complete -c amqp-consume -l on-failure -d 'What to do with a failed message: requeue, reject (dead-letter, or drop) or ack [default: requeue]' -r -f -a "requeue\t''
reject\t''
ack\t''"
complete -c amqp-consume -l on-exit -d 'The same by exit status, such as 65=reject or 64-78,99=requeue; repeatable' -r
complete -c amqp-consume -l max-attempts -d 'Reject a message that has failed N times; without a dead-letter exchange it is dropped, see --park' -r
complete -c amqp-consume -l park -d 'Publish a message that has failed --max-attempts times to this queue instead of rejecting it' -r
complete -c amqp-consume -l delivery-limit -d 'The queue\'s delivery limit (0 = leave it to the broker): a message close to it is republished to the queue\'s tail [default: 20 with RabbitMQ 4.0 or later]' -r
complete -c amqp-consume -l output-queue -d 'Publish what a command that succeeded wrote to standard output to this queue, and acknowledge its message when that is confirmed' -r
complete -c amqp-consume -l output-exchange -d 'The same to an exchange, with --output-key' -r
complete -c amqp-consume -l output-key -d 'The routing key of the output [default: empty]; without --output-exchange, the queue that it goes to' -r
complete -c amqp-consume -l output-content-type -d 'The content type of the output and of replies' -r
complete -c amqp-consume -l output-limit -d 'A command that writes more bytes to standard output has failed [default: 16777216]' -r
complete -c amqp-consume -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-consume -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-consume -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-consume -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-consume -l username -d 'User name [default: guest]' -r
complete -c amqp-consume -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-consume -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-consume -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-consume -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-consume -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-consume -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-consume -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-consume -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-consume -s d -l declare -d 'Declare the queue; the broker deletes it with its last consumer'
complete -c amqp-consume -s x -l exclusive -d 'Declare the queue for this connection only'
complete -c amqp-consume -s A -l no-ack -d 'Acknowledge each message before its command runs; a failure loses it'
complete -c amqp-consume -l json -d 'Without COMMAND: write each message as a line of JSON, then acknowledge it'
complete -c amqp-consume -l reply -d 'Send what the command wrote, and its exit status as x-exit-status, to the message\'s reply-to, before the message is acknowledged'
complete -c amqp-consume -l tag -d 'Put the message id, or the command\'s number, and a tab before each line of output, and write lines whole'
complete -c amqp-consume -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-consume -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-consume -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-consume -s ? -l help -d 'Show this help and exit'
complete -c amqp-consume -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-consume -s V -l version -d 'Print version'
