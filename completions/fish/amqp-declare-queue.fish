complete -c amqp-declare-queue -s q -l queue -d 'Queue name (\'\' = named by the broker)' -r
complete -c amqp-declare-queue -s a -l argument -d 'Queue argument, such as x-max-length=1000 (integers, true and false are typed); repeatable' -r
complete -c amqp-declare-queue -l queue-type -d 'Queue type' -r -f -a "classic\t''
quorum\t''
stream\t''"
complete -c amqp-declare-queue -l bind -d 'Bind to an exchange, with a routing key' -r
complete -c amqp-declare-queue -l unbind -d 'End such a binding; one that there is not is no error' -r
complete -c amqp-declare-queue -l bind-argument -d 'An argument of each --bind and --unbind, for headers exchanges: x-match=any, or a header and its value; typed as by --argument' -r
complete -c amqp-declare-queue -s u -l url -d 'Broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster' -r
complete -c amqp-declare-queue -s s -l server -d 'Broker\'s host [default: localhost]' -r
complete -c amqp-declare-queue -l port -d 'Broker\'s port [default: 5672, with TLS 5671]' -r
complete -c amqp-declare-queue -l vhost -d 'Virtual host [default: /]' -r
complete -c amqp-declare-queue -l username -d 'User name [default: guest]' -r
complete -c amqp-declare-queue -l password -d 'Password; the process list shows it, --authfile hides it [default: guest]' -r
complete -c amqp-declare-queue -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-declare-queue -l authfile -d 'File with two lines, username:NAME and password:SECRET' -r -F
complete -c amqp-declare-queue -l connect-timeout -d 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]' -r
complete -c amqp-declare-queue -l retry -d 'Time to keep trying while the broker is unreachable [default: 0s]' -r
complete -c amqp-declare-queue -l connection-name -d 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)' -r
complete -c amqp-declare-queue -l cacert -d 'CA certificates to trust besides the system\'s (PEM)' -r -F
complete -c amqp-declare-queue -l cert -d 'Client certificate (PEM)' -r -F
complete -c amqp-declare-queue -l key -d 'Private key of the client certificate (PEM)' -r -F
complete -c amqp-declare-queue -l server-name -d 'Name that the server\'s certificate must be for [default: the host]' -r
complete -c amqp-declare-queue -l log-format -d 'Format of the tool\'s own words on standard error: text, or json (a line each) [default: text]' -r -f -a "text\t''
json\t''"
complete -c amqp-declare-queue -s d -l durable -d 'Make the queue survive a restart of the broker'
complete -c amqp-declare-queue -l auto-delete -d 'Have the broker delete the queue with its last consumer'
complete -c amqp-declare-queue -l passive -d 'Only check that the queue exists'
complete -c amqp-declare-queue -l json -d 'Print {"queue":NAME,"messages":N,"consumers":N} for each queue'
complete -c amqp-declare-queue -l ssl -d 'Use TLS, as a URL of amqps:// does'
complete -c amqp-declare-queue -l no-default-cert-paths -d 'Trust only --cacert, not the system\'s certificates'
complete -c amqp-declare-queue -l insecure -d 'Do not verify the server\'s certificate; anyone may read along'
complete -c amqp-declare-queue -s '?' -l help -d 'Show this help and exit'
complete -c amqp-declare-queue -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-declare-queue -s V -l version -d 'Print version'
