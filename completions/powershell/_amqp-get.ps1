
using namespace System.Management.Automation
using namespace System.Management.Automation.Language

Register-ArgumentCompleter -Native -CommandName 'amqp-get' -ScriptBlock {
    param($wordToComplete, $commandAst, $cursorPosition)

    $commandElements = $commandAst.CommandElements
    $command = @(
        'amqp-get'
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
        'amqp-get' {
            [CompletionResult]::new('-q', '-q', [CompletionResultType]::ParameterName, 'The queue to take from')
            [CompletionResult]::new('--queue', '--queue', [CompletionResultType]::ParameterName, 'The queue to take from')
            [CompletionResult]::new('-c', '-c', [CompletionResultType]::ParameterName, 'Take up to N messages')
            [CompletionResult]::new('--count', '--count', [CompletionResultType]::ParameterName, 'Take up to N messages')
            [CompletionResult]::new('-u', '-u', [CompletionResultType]::ParameterName, 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn')
            [CompletionResult]::new('--url', '--url', [CompletionResultType]::ParameterName, 'The broker''s URL, amqp://USER:PASSWORD@HOST:PORT/VHOST; several: the nodes of a cluster, tried in turn')
            [CompletionResult]::new('-s', '-s', [CompletionResultType]::ParameterName, 'The broker''s host [default: localhost]')
            [CompletionResult]::new('--server', '--server', [CompletionResultType]::ParameterName, 'The broker''s host [default: localhost]')
            [CompletionResult]::new('--port', '--port', [CompletionResultType]::ParameterName, 'The port [default: 5672, with TLS 5671]')
            [CompletionResult]::new('--vhost', '--vhost', [CompletionResultType]::ParameterName, 'The virtual host [default: /]')
            [CompletionResult]::new('--username', '--username', [CompletionResultType]::ParameterName, 'The user to log in as [default: guest]')
            [CompletionResult]::new('--password', '--password', [CompletionResultType]::ParameterName, 'The user''s password [default: guest]; others on this machine can see it in the process list, see --authfile')
            [CompletionResult]::new('--heartbeat', '--heartbeat', [CompletionResultType]::ParameterName, 'Seconds between heartbeats; a broker that is silent for two of them is given up on, 0 never. A lower number that the broker proposes holds [default: 60]')
            [CompletionResult]::new('--authfile', '--authfile', [CompletionResultType]::ParameterName, 'A file with the two lines username:NAME and password:SECRET')
            [CompletionResult]::new('--connect-timeout', '--connect-timeout', [CompletionResultType]::ParameterName, 'How long connecting may take: name, TCP, TLS and login together [default: 10s]')
            [CompletionResult]::new('--retry', '--retry', [CompletionResultType]::ParameterName, 'How long to keep trying while the broker cannot be reached [default: 0s]')
            [CompletionResult]::new('--cacert', '--cacert', [CompletionResultType]::ParameterName, 'Certificates of authorities to trust besides the system''s, in PEM')
            [CompletionResult]::new('--cert', '--cert', [CompletionResultType]::ParameterName, 'The client''s certificate, in PEM')
            [CompletionResult]::new('--key', '--key', [CompletionResultType]::ParameterName, 'The client''s private key, in PEM')
            [CompletionResult]::new('--requeue', '--requeue', [CompletionResultType]::ParameterName, 'Only look: give the messages back when all are written')
            [CompletionResult]::new('--json', '--json', [CompletionResultType]::ParameterName, 'Print each message with its properties as a line of JSON, as amqp-publish --jsonl reads it')
            [CompletionResult]::new('--ssl', '--ssl', [CompletionResultType]::ParameterName, 'Connect by TLS, and by nothing else; so does a URL of amqps://')
            [CompletionResult]::new('--no-default-cert-paths', '--no-default-cert-paths', [CompletionResultType]::ParameterName, 'Trust none of the system''s certificates, only --cacert')
            [CompletionResult]::new('--insecure', '--insecure', [CompletionResultType]::ParameterName, 'Trust any server, whatever its certificate: anyone between you and it can read along')
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
