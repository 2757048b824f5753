// An upload handler for ASP.NET Core that answers when every server has the file. See README.md beside this file.
using System.Net;
using System.Text.RegularExpressions;

var builder = WebApplication.CreateBuilder(args);
builder.Services.AddHttpClient("syncline", client =>
{
    client.BaseAddress = new Uri(Environment.GetEnvironmentVariable("SYNCLINE_URL") ?? "http://127.0.0.1:7441");
    client.Timeout = TimeSpan.FromMilliseconds(Waiting.TimeoutMs + 1000);
});
var app = builder.Build();
var folder = Environment.GetEnvironmentVariable("UPLOAD_FOLDER") ?? "/srv/uploads";

app.MapPost("/", async (IFormFile file, IHttpClientFactory clients, ILogger<Program> log) =>
{
    if (!Regex.IsMatch(file.FileName, @"\A\w[\w.-]{0,120}\z")) return Results.BadRequest();
    await using (var stored = File.Create(Path.Combine(folder, file.FileName)))
        await file.CopyToAsync(stored); // the other servers see it once it is closed
    return Results.StatusCode(await Waiting.ForAll(clients.CreateClient("syncline"), file.FileName, log));
}).DisableAntiforgery(); // for the example's sake: keep the token in a real form

app.Run();

static class Waiting
{
    public const int TimeoutMs = 2000;

    // The status for the user: 201 everywhere, 202 stored here and on its way, 500 not in the folder.
    public static async Task<int> ForAll(HttpClient node, string path, ILogger log)
    {
        try
        {
            using var answer = await node.PostAsJsonAsync("/v1/wait", new { path, nodes = "all", timeout_ms = TimeoutMs });
            if (answer.StatusCode == HttpStatusCode.OK) return StatusCodes.Status201Created;
            // The body of a 504 says who lacks it.
            log.LogWarning("upload {Path}: syncline says {Status} {Body}", path, (int)answer.StatusCode,
                await answer.Content.ReadAsStringAsync());
            return answer.StatusCode == HttpStatusCode.NotFound ? StatusCodes.Status500InternalServerError
                                                                : StatusCodes.Status202Accepted;
        }
        catch (Exception error) when (error is HttpRequestException or TaskCanceledException)
        {
            log.LogWarning("upload {Path}: syncline does not answer: {Why}", path, error.Message);
            return StatusCodes.Status202Accepted;
        }
    }
}
