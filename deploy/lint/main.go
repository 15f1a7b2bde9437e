// Checks what no compiler sees of the deployment: docker-compose.yml with the parser that `docker compose` itself uses, the
// alerts and the dashboard with Prometheus' own, and what this project asks of them beyond their syntax.
//
// `go run . ROOT` prints each fault on a line of its own and exits with 1 if there is any.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/cli"
	"github.com/compose-spec/compose-go/v2/types"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// The services of each profile that must come up, no more and no less.
var profiles = map[string][]string{
	"hub":     {"hub"},
	"cluster": {"analytics", "gateway", "grafana", "ingest", "kafka", "migrate", "objects", "prometheus", "scylla"},
}

type report struct{ faults int }

func (r *report) fault(format string, arguments ...any) {
	r.faults++
	fmt.Fprintf(os.Stderr, "lint-deploy: "+format+"\n", arguments...)
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: go run . ROOT")
		os.Exit(2)
	}
	root := os.Args[1]
	report := &report{}
	checkDefaultProfile(root, report)
	for profile, services := range profiles {
		checkProfile(root, profile, services, report)
	}
	metrics := metricsOf(root, report)
	expressions := checkAlerts(filepath.Join(root, "deploy/prometheus/alerts.yml"), metrics, report)
	expressions += checkDashboard(filepath.Join(root, "deploy/grafana/dashboards/saler.json"), metrics, report)
	checkScrape(root, report)
	if report.faults > 0 {
		os.Exit(1)
	}
	fmt.Printf("lint-deploy: compose profiles %d, expressions %d, metrics %d: nothing to say\n", len(profiles), expressions, len(metrics))
}

func load(root string, options ...cli.ProjectOptionsFn) (*types.Project, error) {
	options = append([]cli.ProjectOptionsFn{cli.WithWorkingDirectory(root), cli.WithEnvFiles(), cli.WithDotEnv}, options...)
	project, err := cli.NewProjectOptions([]string{filepath.Join(root, "docker-compose.yml")}, options...)
	if err != nil {
		return nil, err
	}
	return project.LoadProject(context.Background())
}

// `docker compose up` without more brings up the hub alone.
func checkDefaultProfile(root string, report *report) {
	project, err := load(root, cli.WithDefaultProfiles())
	if err != nil {
		report.fault("docker-compose.yml: %v", err)
		return
	}
	if names := project.ServiceNames(); !slices.Equal(names, profiles["hub"]) {
		report.fault("docker-compose.yml: without a profile %v come up instead of the hub alone", names)
	}
}

func checkProfile(root, profile string, want []string, report *report) {
	project, err := load(root, cli.WithDefaultProfiles(profile))
	if err != nil {
		report.fault("docker-compose.yml, profile %s: %v", profile, err)
		return
	}
	if names := project.ServiceNames(); !slices.Equal(names, want) {
		report.fault("docker-compose.yml, profile %s: %v come up instead of %v", profile, names, want)
	}
	settings := settingsOf(root, report)
	published := map[string]string{}
	for name, service := range project.Services {
		for variable := range service.Environment {
			if service.Build != nil && !settings[variable] {
				report.fault("service %s: the hub has no setting %s", name, variable)
			}
		}
		checkService(root, name, service, report)
		for _, port := range service.Ports {
			if port.HostIP != "127.0.0.1" {
				report.fault("service %s: port %s is published beyond 127.0.0.1", name, port.Published)
			}
			if other, taken := published[port.Published]; taken {
				report.fault("services %s and %s both publish port %s", other, name, port.Published)
			}
			published[port.Published] = name
		}
	}
}

var pinned = regexp.MustCompile(`:v?[0-9]+\.[0-9]+`)

func checkService(root, name string, service types.ServiceConfig, report *report) {
	if service.Build == nil && !pinned.MatchString(service.Image) {
		report.fault("service %s: the image %s names no version", name, service.Image)
	}
	// What ends by itself is waited for instead.
	if service.Restart != "no" && (service.HealthCheck == nil || len(service.HealthCheck.Test) == 0) {
		report.fault("service %s has no health check", name)
	}
	if service.Deploy == nil || service.Deploy.Resources.Limits == nil || service.Deploy.Resources.Limits.MemoryBytes == 0 {
		report.fault("service %s has no limit of memory", name)
	}
	for _, volume := range service.Volumes {
		if volume.Type != types.VolumeTypeBind {
			continue
		}
		if _, err := os.Stat(volume.Source); err != nil {
			report.fault("service %s: %s, which is mounted, is not there", name, volume.Source)
		}
		if !volume.ReadOnly {
			report.fault("service %s: %s is mounted writable", name, volume.Source)
		}
	}
}

// The variables of all settings that gateway/src/config.default.toml lists: SALER_SECTION__KEY.
func settingsOf(root string, report *report) map[string]bool {
	text, err := os.ReadFile(filepath.Join(root, "gateway/src/config.default.toml"))
	if err != nil {
		report.fault("%v", err)
	}
	line := regexp.MustCompile(`(?m)^(?:\[([a-z_.]+)\]|([a-z0-9_]+) *=)`)
	settings, section := map[string]bool{}, ""
	for _, match := range line.FindAllStringSubmatch(string(text), -1) {
		if match[1] != "" {
			section = strings.ReplaceAll(match[1], ".", "__")
			continue
		}
		settings[strings.ToUpper("SALER_"+section+"__"+match[2])] = true
	}
	return settings
}

// The metrics that the Rust sources record.
func metricsOf(root string, report *report) map[string]bool {
	literal := regexp.MustCompile(`"(saler_[a-z0-9_]+)"`)
	metrics := map[string]bool{}
	for _, crate := range []string{"storage", "ingest", "analytics", "gateway"} {
		err := filepath.WalkDir(filepath.Join(root, crate, "src"), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() || !strings.HasSuffix(path, ".rs") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, match := range literal.FindAllSubmatch(text, -1) {
				metrics[string(match[1])] = true
			}
			return err
		})
		if err != nil {
			report.fault("%v", err)
		}
	}
	return metrics
}

// What an expression may name that the hub does not record itself.
var foreign = map[string]bool{"up": true}

func checkExpression(where, expression string, metrics map[string]bool, report *report) {
	// Grafana fills these in before Prometheus sees them.
	expression = strings.NewReplacer("$__rate_interval", "1m", "$__range", "1h", "$role", ".*").Replace(expression)
	parsed, err := parser.NewParser(parser.Options{}).ParseExpr(expression)
	if err != nil {
		report.fault("%s: %v", where, err)
		return
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		selector, ok := node.(*parser.VectorSelector)
		if !ok {
			return nil
		}
		for _, matcher := range selector.LabelMatchers {
			if matcher.Name != labels.MetricName {
				continue
			}
			name := strings.TrimSuffix(matcher.Value, "_bucket")
			if !metrics[name] && !foreign[name] {
				report.fault("%s: nothing records %s", where, matcher.Value)
			}
		}
		return nil
	})
}

func checkAlerts(path string, metrics map[string]bool, report *report) int {
	var file struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert       string
				Expr        string
				For         string
				Labels      map[string]string
				Annotations map[string]string
			}
		}
	}
	text, err := os.ReadFile(path)
	if err == nil {
		decoder := yaml.NewDecoder(strings.NewReader(string(text)))
		decoder.KnownFields(true)
		err = decoder.Decode(&file)
	}
	if err != nil {
		report.fault("%s: %v", path, err)
		return 0
	}
	count := 0
	for _, group := range file.Groups {
		for _, rule := range group.Rules {
			count++
			checkExpression("alert "+rule.Alert, rule.Expr, metrics, report)
			if rule.Alert == "" || rule.Labels["severity"] == "" || rule.Annotations["summary"] == "" || rule.Annotations["description"] == "" {
				report.fault("alert %q lacks a name, a severity, a summary or a description", rule.Alert)
			}
		}
	}
	return count
}

func checkDashboard(path string, metrics map[string]bool, report *report) int {
	var dashboard struct {
		Panels []struct {
			ID      int
			Title   string
			Type    string
			Targets []struct{ Expr string }
		}
	}
	text, err := os.ReadFile(path)
	if err == nil {
		err = json.Unmarshal(text, &dashboard)
	}
	if err != nil {
		report.fault("%s: %v", path, err)
		return 0
	}
	count, seen := 0, map[int]bool{}
	for _, panel := range dashboard.Panels {
		if seen[panel.ID] {
			report.fault("panel %s has the id of another one", panel.Title)
		}
		seen[panel.ID] = true
		if panel.Type != "row" && len(panel.Targets) == 0 {
			report.fault("panel %s shows nothing", panel.Title)
		}
		for _, target := range panel.Targets {
			count++
			checkExpression("panel "+panel.Title, target.Expr, metrics, report)
		}
	}
	return count
}

// Prometheus asks services that exist, under the job that alerts and panels name.
func checkScrape(root string, report *report) {
	var file struct {
		ScrapeConfigs []struct {
			JobName      string                     `yaml:"job_name"`
			DNSSDConfigs []struct{ Names []string } `yaml:"dns_sd_configs"`
		} `yaml:"scrape_configs"`
	}
	path := filepath.Join(root, "deploy/prometheus/prometheus.yml")
	text, err := os.ReadFile(path)
	if err == nil {
		err = yaml.Unmarshal(text, &file)
	}
	if err != nil {
		report.fault("%s: %v", path, err)
		return
	}
	for _, scrape := range file.ScrapeConfigs {
		if scrape.JobName != "saler" {
			report.fault("%s: the job %s is unknown to alerts and panels", path, scrape.JobName)
		}
		for _, discovery := range scrape.DNSSDConfigs {
			for _, name := range discovery.Names {
				if !slices.Contains(profiles["cluster"], name) {
					report.fault("%s: there is no service %s", path, name)
				}
			}
		}
	}
}
