<?php
// An upload handler that answers when every server has the file. See README.md beside this file.
declare(strict_types=1);

$folder = getenv('UPLOAD_FOLDER') ?: '/srv/uploads';
$node = getenv('SYNCLINE_URL') ?: 'http://127.0.0.1:7441';

// The status for the user: 201 everywhere, 202 stored here and on its way, 500 not in the folder.
function wait_for_all(string $node, string $path, int $timeout_ms = 2000): int
{
    $answer = @file_get_contents("$node/v1/wait", false, stream_context_create(['http' => [
        'method' => 'POST',
        'header' => 'Content-Type: application/json',
        'content' => json_encode(['path' => $path, 'nodes' => 'all', 'timeout_ms' => $timeout_ms]),
        'timeout' => $timeout_ms / 1000 + 1,
        'ignore_errors' => true, // the body of a 504 says who lacks it
    ]]));
    $status = $answer === false ? 0 : (int) explode(' ', $http_response_header[0])[1];
    if ($status === 200) {
        return 201;
    }
    error_log("upload $path: syncline says $status " . trim((string) $answer));
    return $status === 404 ? 500 : 202;
}

$upload = $_FILES['file'] ?? null;
if (!$upload || $upload['error'] !== UPLOAD_ERR_OK || !preg_match('/^\w[\w.-]{0,120}$/D', $upload['name'])) {
    http_response_code(400);
    exit("a form with a file in the field \"file\" is wanted\n");
}
if (!move_uploaded_file($upload['tmp_name'], "$folder/{$upload['name']}")) {
    http_response_code(500);
    exit("could not be stored\n");
}
http_response_code(wait_for_all($node, $upload['name']));
echo "stored\n";
