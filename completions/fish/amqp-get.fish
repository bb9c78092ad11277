complete -c amqp-get -s q -l queue -d 'The queue to take from' -r
complete -c amqp-get -s c -l count -d 'Take up to N messages' -r
complete -c amqp-get -s u -l url -d 'The broker\'s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn' -r
complete -c amqp-get -s s -l server -d 'The broker\'s host [default: localhost]' -r
complete -c amqp-get -l port -d 'The port [default: 5672, with TLS 5671]' -r
complete -c amqp-get -l vhost -d 'The virtual host [default: /]' -r
complete -c amqp-get -l username -d 'The user to log in as [default: guest]' -r
complete -c amqp-get -l password -d 'The user\'s password [default: guest]; others on this machine can see it in the process list, see --authfile' -r
complete -c amqp-get -l heartbeat -d 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]' -r
complete -c amqp-get -l authfile -d 'A file with the two lines username:NAME and password:SECRET' -r -F
complete -c amqp-get -l connect-timeout -d 'How long connecting may take: name, TCP, TLS and login together [default: 10s]' -r
complete -c amqp-get -l retry -d 'How long to keep trying while the broker cannot be reached [default: 0s]' -r
complete -c amqp-get -l cacert -d 'Certificates of authorities to trust besides the system\'s, in PEM' -r -F
complete -c amqp-get -l cert -d 'The client\'s certificate, in PEM' -r -F
complete -c amqp-get -l key -d 'The client\'s private key, in PEM' -r -F
complete -c amqp-get -l requeue -d 'Only look: give the messages back when all are written'
complete -c amqp-get -l json -d 'Print each message with its properties as a line of JSON, as amqp-publish --jsonl reads it'
complete -c amqp-get -l ssl -d 'Connect by TLS, and by nothing else; so does a URL of amqps://'
complete -c amqp-get -l no-default-cert-paths -d 'Trust none of the system\'s certificates, only --cacert'
complete -c amqp-get -l insecure -d 'Trust any server, whatever its certificate: anyone between you and it can read along'
complete -c amqp-get -s ? -l help -d 'Show this help and exit'
complete -c amqp-get -l usage -d 'Show a brief list of all options and exit'
complete -c amqp-get -s V -l version -d 'Print version'
