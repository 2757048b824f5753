#include "cli/lb.h"

// IIS with URL Rewrite and Application Request Routing (ARR).
namespace syncline {
namespace {

constexpr const char* kComment = "<!-- @{} -->";

constexpr std::string_view kBalancer = R"(<configuration>
  <webFarms>
    <webFarm name="syncline" enabled="true">
      @{servers}
      <applicationRequestRouting>
        <protocol preserveHostHeader="true" />
        <affinity useCookie="false" /> @@affinity
        <loadBalancing algorithm="WeightedRoundRobin" />
        <healthCheck url="http://@{check_host}@{ready_path}" interval="00:00:01" timeout="00:00:02" /> @@check
      </applicationRequestRouting>
    </webFarm>
  </webFarms>
  <system.webServer>
    <rewrite>
      <globalRules>
        <rule name="syncline" patternSyntax="Wildcard" stopProcessing="true">
          <match url="*" />
?site           <conditions>
?site             <add input="{HTTP_HOST}" pattern="@{site}" />
?site           </conditions>
          <action type="Rewrite" url="http://syncline/{R:0}" /> @@pin
        </rule>
      </globalRules>
    </rewrite>
  </system.webServer>
</configuration>
)";

constexpr std::string_view kApp = R"(<configuration>
  <system.webServer>
    <rewrite>
      <rules>
        <rule name="syncline ready" stopProcessing="true">
          <match url="^@{ready_name}$" />
          <action type="Rewrite" url="http://@{node}/readyz" /> @@check
        </rule>
        <rule name="syncline healthy" stopProcessing="true">
          <match url="^@{healthy_name}$" />
          <action type="Rewrite" url="http://@{node}/healthz" />
        </rule>
        @{uploads}
      </rules>
    </rewrite>
  </system.webServer>
</configuration>
)";

constexpr std::string_view kUploads = R"(<rule name="syncline own directory@{tag}" stopProcessing="true">
  <match url="^@{relative}\.syncline" />
  <action type="CustomResponse" statusCode="404" statusReason="Not Found" statusDescription="Not Found" />
</rule>
<rule name="syncline miss@{tag}" stopProcessing="true">
  <match url="^@{relative}(.+)$" />
  <conditions logicalGrouping="MatchAll">
    <add input="{REQUEST_METHOD}" pattern="^(GET|HEAD)$" />
    <add input="{REQUEST_FILENAME}" matchType="IsFile" negate="true" /> @@miss
  </conditions>
  <action type="Rewrite" url="http://@{node}@{miss}{R:1}" /> @@rsync
</rule>
)";

}  // namespace

LbPart iis_balancer(const LbPlan& plan, const LbExplain& explain) {
  LbWords words = lb_words(plan.options);
  if (plan.options.site.empty())
    words["check_host"] = "syncline";  // the farm's own name: asked of every server
  words["servers"] = lb_lines(plan,
                              "<server address=\"@{host}\" enabled=\"true\"> <!-- @{name} -->\n"
                              "  <applicationRequestRouting httpPort=\"@{port}\" />\n</server>");
  LbPart part;
  part.file = "%windir%\\System32\\inetsrv\\config\\applicationHost.config (merge these sections)";
  part.comment = kComment;
  part.notes = {
      "Needs URL Rewrite and Application Request Routing, with its proxy enabled.",
      "Server Farms, syncline, Health Test: set Minimum servers to 1. With none ready, ARR then disregards "
      "readiness, so that the site does not go dark."};
  part.text = lb_fill(kBalancer, words, explain, part.comment);
  return part;
}

std::vector<LbPart> iis_app(const LbOptions& options, const LbWords& words, const LbExplain& explain) {
  LbWords here = words;
  here["ready_name"] = std::string(kLbReady).substr(1),
  here["healthy_name"] = std::string(kLbHealthy).substr(1);
  LbPart part;
  part.file = "web.config of the site";
  part.comment = kComment;
  part.notes = {
      "Syncline itself runs on Linux only in this version: this part is for a Windows server whose node is "
      "still to",
      "come. For Linux app servers behind this farm: the option app-server with nginx, apache or caddy.",
      "Needs URL Rewrite and Application Request Routing, with its proxy enabled on this server, too."};
  for (const LbFolder& f : options.folders) part.notes.push_back("The folder " + f.path + " as the virtual directory " + f.uri + ".");
  if (!words.at("token").empty())
    part.notes.push_back(
        "This node wants its token for files: let it listen on 127.0.0.1 (http in its config.toml).");
  here["uploads"] = lb_folders(kUploads, options, words, explain, part.comment);
  part.text = lb_fill(kApp, here, explain, part.comment);
  return {part};
}

}  // namespace syncline
