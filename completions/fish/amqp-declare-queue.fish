complete -c amqp-declare-queue -s q -l queue -d 'The queue\'s name; empty: the broker makes one up' -r
complete -c amqp-declare-queue -s a -l argument -d 'Set an argument of the queue, such as x-max-length=1000; integers, true and false are recognised as such' -r
complete -c amqp-declare-queue -l queue-type -d 'The queue\'s type' -r -f -a "classic\t''
quorum\t''
stream\t''"
complete -c amqp-declare-queue -l bind -d 'Bind the queue to an exchange, with a routing key' -r
complete -c amqp-declare-queue -s u -l url -d 'The broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn' -r
complete -c amqp-declare-queue -s s -l server -d 'The broker\'s host [default: localhost]' -r
complete -c amqp-declare-queue -l port -d 'The port [default: 5672, with TLS 5671]' -r
complete -c amqp-declare-queue -l vhost -d 'The virtual host [default: /]' -r
complete -c amqp-declare-queue -l username -d 'The user to log in as [default: guest]' -r
complete -c amqp-declare-queue -l password -d 'The user\'s password [default: guest]; others on this machine can see it in the process list, see --authfile' -r
complete -c amqp-declare-queue -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-declare-queue -l authfile -d 'A file with the two lines username:NAME and password:SECRET' -r -F
complete -c amqp-declare-queue -l connect-timeout -d 'How long connecting may take: name, TCP, TLS and login together [default: 10s]' -r
complete -c amqp-declare-queue -l retry -d 'How long to keep trying while the broker cannot be reached [default: 0s]' -r
complete -c amqp-declare-queue -l cacert -d 'Certificates of authorities to trust besides the system\'s, in PEM' -r -F
complete -c amqp-declare-queue -l cert -d 'The client\'s certificate, in PEM' -r -F
complete -c amqp-declare-queue -l key -d 'The client\'s private key, in PEM' -r -F
complete -c amqp-declare-queue -s d -l durable -d 'Let the queue survive a restart of the broker'
complete -c amqp-declare-queue -l auto-delete -d 'Let the queue end with its last consumer'
complete -c amqp-declare-queue -l passive -d 'Only check that the queue exists'
complete -c amqp-declare-queue -l json -d 'Print {"queue":NAME,"messages":N,"consumers":N} a line'
complete -c amqp-declare-queue -l ssl -d 'Connect by TLS, and by nothing else; so does a URL of amqps://'
complete -c amqp-declare-queue -l no-default-cert-paths -d 'Trust none of the system\'s certificates, only --cacert'
complete -c amqp-declare-queue -l insecure -d 'Trust any server, whatever its certificate: anyone between you and it can read along'
complete -c amqp-declare-queue -s ? -l help -d 'Show this help and exit'
complete -c amqp-declare-queue -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-declare-queue -s V -l version -d 'Print version'
