
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-consume' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-consume'
        for ($i = 1; $i -lt $commandElements.Count; $i++) {
            $element = $commandElements[$i]
            if ($element -isnot [StringConstantExpressionAst] -or
                $element.StringConstantType -ne [StringConstantType]::BareWord -or
                $element.Value.StartsWith('-') -or
                $element.Value -eq $wordToComplete) {
                break
        }
        $element.Value
    }) -join ';'

    $completions = @(switch ($command) {
        'amqp-consume' {
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'Queue to consume from [default: a new one, named by the broker]')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'Queue to consume from [default: a new one, named by the broker]')
            [CompletionResult]::new('-e', '-e', [CompletionResultType]::ParameterName, 'Declare the queue and bind it to this exchange')
            [CompletionResult]::new('--exchange', '--exchange', [CompletionResultType]::ParameterName, 'Declare the queue and bind it to this exchange')
            [CompletionResult]::new('-r', '-r', [CompletionResultType]::ParameterName, 'Routing keys to bind with, separated by commas')
            [CompletionResult]::new('--routing-key', '--routing-key', [CompletionResultType]::ParameterName, 'Routing keys to bind with, separated by commas')
            [CompletionResult]::new('--consumer-argument', '--consumer-argument', [CompletionResultType]::ParameterName, 'Argument of the consumer, such as x-priority=5; integers, true and false have their type; repeatable')
            [CompletionResult]::new('--offset', '--offset', [CompletionResultType]::ParameterName, 'Where to begin in a stream: first, last, next, a message''s number, a time (2026-01-31T12:00:00Z), or a duration (10m = from ten minutes ago)')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'End after N messages, with the first failed command''s status [default: no limit]')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'End after N messages, with the first failed command''s status [default: no limit]')
            [CompletionResult]::new('-p', '-p', [CompletionResultType]::ParameterName, 'Prefetch limit (0 = 65535) [default: --jobs, times --batch; with --json 100]; with --coprocess, how many messages a child may have unanswered [default: 1]')
            [CompletionResult]::new('--prefetch-count', '--prefetch-count', [CompletionResultType]::ParameterName, 'Prefetch limit (0 = 65535) [default: --jobs, times --batch; with --json 100]; with --coprocess, how many messages a child may have unanswered [default: 1]')
            [CompletionResult]::new('-j', '-j', [CompletionResultType]::ParameterName, 'Number of commands to run at once')
            [CompletionResult]::new('--jobs', '--jobs', [CompletionResultType]::ParameterName, 'Number of commands to run at once')
            [CompletionResult]::new('--stdin', '--stdin', [CompletionResultType]::ParameterName, 'Kind of standard input for the command: pipe, or file (seekable) [default: pipe]')
            [CompletionResult]::new('--joblog', '--joblog', [CompletionResultType]::ParameterName, 'Append a line about each command to FILE')
            [CompletionResult]::new('--joblog-format', '--joblog-format', [CompletionResultType]::ParameterName, 'Format of the job log: tsv, or json (with what became of the message) [default: tsv]')
            [CompletionResult]::new('--error-status', '--error-status', [CompletionResultType]::ParameterName, 'Exit status if the tool itself fails: the broker, the connection, the machine [default: 1]')
            [CompletionResult]::new('--timeout', '--timeout', [CompletionResultType]::ParameterName, 'End a command after this time (SIGTERM, SIGKILL 5s later); it has failed with status 124')
            [CompletionResult]::new('--idle-timeout', '--idle-timeout', [CompletionResultType]::ParameterName, 'End when no message came for this time and nothing runs (0s = when none is ready)')
            [CompletionResult]::new('--idle-status', '--idle-status', [CompletionResultType]::ParameterName, 'Exit status if --idle-timeout or --max-time ends a run without any message [default: 0]')
            [CompletionResult]::new('--max-time', '--max-time', [CompletionResultType]::ParameterName, 'Take no more messages after this time, and end as with --idle-timeout')
            [CompletionResult]::new('--rate', '--rate', [CompletionResultType]::ParameterName, 'Start no more commands than that: 10, 10/s, 5/m, 100/h')
            [CompletionResult]::new('--grace', '--grace', [CompletionResultType]::ParameterName, 'Time that running commands have after SIGTERM or SIGINT [default: no limit]')
            [CompletionResult]::new('--batch', '--batch', [CompletionResultType]::ParameterName, 'Start each command for up to N messages; its exit status is that of all')
            [CompletionResult]::new('--batch-wait', '--batch-wait', [CompletionResultType]::ParameterName, 'Time that the first message of a batch waits for the others [default: 1s]')
            [CompletionResult]::new('--framing', '--framing', [CompletionResultType]::ParameterName, 'How messages follow one another on standard input: json (envelopes, a line each), lines (bodies) or null (bodies with a NUL each) [default: json]')
            [CompletionResult]::new('--recycle', '--recycle', [CompletionResultType]::ParameterName, 'Start a new child after N messages')
            [CompletionResult]::new('--retries', '--retries', [CompletionResultType]::ParameterName, 'Run a failed command up to N more times on the same message')
            [CompletionResult]::new('--retry-delay', '--retry-delay', [CompletionResultType]::ParameterName, 'Pause before the first retry, doubled before each further one [default: 1s]')
            [CompletionResult]::new('--on-failure', '--on-failure', [CompletionResultType]::ParameterName, 'What to do with a failed message: requeue, reject (dead-letter, or drop), ack, park (see --park), retry:DURATION (it waits in the broker) or stop (requeue, and end with its status) [default: requeue; in a stream stop]')
            [CompletionResult]::new('--on-exit', '--on-exit', [CompletionResultType]::ParameterName, 'The same by exit status, such as 65=reject or 64-78,99=requeue; repeatable')
            [CompletionResult]::new('--max-attempts', '--max-attempts', [CompletionResultType]::ParameterName, 'Reject a message that has failed N times; without a dead-letter exchange it is dropped, see --park')
            [CompletionResult]::new('--park', '--park', [CompletionResultType]::ParameterName, 'Queue for messages that are parked, or that have failed --max-attempts times')
            [CompletionResult]::new('--halt', '--halt', [CompletionResultType]::ParameterName, 'End after N failed messages in a row, with the last one''s status')
            [CompletionResult]::new('--delivery-limit', '--delivery-limit', [CompletionResultType]::ParameterName, 'The queue''s delivery limit (0 = leave it to the broker): a message close to it is republished to the queue''s tail [default: 20 with RabbitMQ 4.0 or later]')
            [CompletionResult]::new('--output-queue', '--output-queue', [CompletionResultType]::ParameterName, 'Publish what a command that succeeded wrote to standard output to this queue, and acknowledge its message when that is confirmed')
            [CompletionResult]::new('--output-exchange', '--output-exchange', [CompletionResultType]::ParameterName, 'The same to an exchange, with --output-key')
            [CompletionResult]::new('--output-key', '--output-key', [CompletionResultType]::ParameterName, 'The routing key of the output [default: empty]; without --output-exchange, the queue that it goes to')
            [CompletionResult]::new('--output-content-type', '--output-content-type', [CompletionResultType]::ParameterName, 'The content type of the output and of replies')
            [CompletionResult]::new('--output-limit', '--output-limit', [CompletionResultType]::ParameterName, 'A command that writes more bytes to standard output has failed [default: 16777216]')
            [CompletionResult]::new('--status-address', '--status-address', [CompletionResultType]::ParameterName, 'Serve /livez, /readyz and /metrics (Prometheus) over HTTP on this address')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'Broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; repeatable, for the nodes of a cluster')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'Broker''s host [default: localhost]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'Broker''s host [default: localhost]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'Broker''s port [default: 5672, with TLS 5671]')
            [CompletionResult]::new('--vhost', '--vhost', [CompletionResultType]::ParameterName, 'Virtual host [default: /]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'User name [default: guest]')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'Password; the process list shows it, --authfile hides it [default: guest]')
            [CompletionResult]::new('--heartbeat', '--heartbeat', [CompletionResultType]::ParameterName, 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]')
            [CompletionResult]::new('--authfile', '--authfile', [CompletionResultType]::ParameterName, 'File with two lines, username:NAME and password:SECRET')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'Time limit for connecting; a DURATION is 500ms, 30s, 5m, 1h or plain seconds [default: 10s]')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'Time to keep trying while the broker is unreachable [default: 0s]')
            [CompletionResult]::new('--connection-name', '--connection-name', [CompletionResultType]::ParameterName, 'Name that the broker lists the connection by (default: PROGRAM@HOST:PID)')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'CA certificates to trust besides the system''s (PEM)')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'Client certificate (PEM)')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'Private key of the client certificate (PEM)')
            [CompletionResult]::new('--server-name', '--server-name', [CompletionResultType]::ParameterName, 'Name that the server''s certificate must be for [default: the host]')
            [CompletionResult]::new('--log-format', '--log-format', [CompletionResultType]::ParameterName, 'Format of the tool''s own words on standard error: text, or json (a line each) [default: text]')
            [CompletionResult]::new('-d', '-d', [CompletionResultType]::ParameterName, 'Declare the queue; the broker deletes it with its last consumer')
            [CompletionResult]::new('--declare', '--declare', [CompletionResultType]::ParameterName, 'Declare the queue; the broker deletes it with its last consumer')
            [CompletionResult]::new('-x', '-x', [CompletionResultType]::ParameterName, 'Declare the queue for this connection only')
            [CompletionResult]::new('--exclusive', '--exclusive', [CompletionResultType]::ParameterName, 'Declare the queue for this connection only')
            [CompletionResult]::new('--exclusive-consumer', '--exclusive-consumer', [CompletionResultType]::ParameterName, 'Be the only consumer of the queue; a quorum queue does not see to that')
            [CompletionResult]::new('-A', '-A ', [CompletionResultType]::ParameterName, 'Acknowledge each message before its command runs; a failure loses it')
            [CompletionResult]::new('--no-ack', '--no-ack', [CompletionResultType]::ParameterName, 'Acknowledge each message before its command runs; a failure loses it')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Without COMMAND: write each message as a line of JSON, then acknowledge it')
            [CompletionResult]::new('--lossy', '--lossy', [CompletionResultType]::ParameterName, 'With --json: write also a message that JSON cannot hold all of (see amqp-tools(7))')
            [CompletionResult]::new('--hide-url', '--hide-url', [CompletionResultType]::ParameterName, 'Keep the URL in the environment, which may hold a password, from the command')
            [CompletionResult]::new('--quiet', '--quiet', [CompletionResultType]::ParameterName, 'Say nothing on standard error about failed commands')
            [CompletionResult]::new('--coprocess', '--coprocess', [CompletionResultType]::ParameterName, 'Start the command once for each job and give it message after message; it answers each with a line on file descriptor 3: the exit status')
            [CompletionResult]::new('--split', '--split', [CompletionResultType]::ParameterName, 'Run a batch that failed again in halves, so that only the messages that fail alone have failed')
            [CompletionResult]::new('--reply', '--reply', [CompletionResultType]::ParameterName, 'Send what the command wrote, and its exit status as x-exit-status, to the message''s reply-to, before the message is acknowledged')
            [CompletionResult]::new('--tag', '--tag', [CompletionResultType]::ParameterName, 'Put the message id, or the command''s number, and a tab before each line of output, and write lines whole')
            [CompletionResult]::new('--ssl', '--ssl', [CompletionResultType]::ParameterName, 'Use TLS, as a URL of amqps:// does')
            [CompletionResult]::new('--no-default-cert-paths', '--no-default-cert-paths', [CompletionResultType]::ParameterName, 'Trust only --cacert, not the system''s certificates')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Do not verify the server''s certificate; anyone may read along')
            [CompletionResult]::new('-?', '-?', [CompletionResultType]::ParameterName, 'Show this help and exit')
            [CompletionResult]::new('--help', '--help', [CompletionResultType]::ParameterName, 'Show this help and exit')
            [CompletionResult]::new('--usage', '--usage', [CompletionResultType]::ParameterName, 'Show a brief list of all options and exit')
            [CompletionResult]::new('-V', '-V ', [CompletionResultType]::ParameterName, 'Print version')
            [CompletionResult]::new('--version', '--version', [CompletionResultType]::ParameterName, 'Print version')
            break
        }
    })

    $completions.Where{ $_.CompletionText -like "$wordToComplete*" } |
        Sort-Object -Property ListItemText
}
