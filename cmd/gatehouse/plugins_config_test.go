package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	psapi "k8s.io/pod-security-admission/api"

	"github.com/gatehouse/gatehouse/internal/flags"
)

const (
	admissionHead  = "apiVersion: apiserver.config.k8s.io/v1\nkind: AdmissionConfiguration\n"
	standardsHead  = "apiVersion: pod-security.admission.config.k8s.io/v1\nkind: PodSecurityConfiguration\n"
	standardsInOne = `{name: PodSecurity, configuration: {apiVersion: pod-security.admission.config.k8s.io/v1, kind: PodSecurityConfiguration, defaults: {enforce: baseline}}}`
)

// readSettings reads the text as --admission-control-config-file, beside the file standards.yaml.
func readSettings(t *testing.T, text, standards string) (*pluginSettings, error) {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string]string{"admission.yaml": text, "standards.yaml": standards} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	p := &parts{wiring: wiring{options: &flags.Options{AdmissionConfigFile: filepath.Join(dir, "admission.yaml")}}}
	err := p.makePluginSettings(t.Context())
	return p.settings, err
}

func TestAdmissionConfiguration(t *testing.T) {
	const restricted = standardsHead + "defaults: {enforce: restricted}\n"
	for name, test := range map[string]struct {
		text string
		want psapi.Level
	}{
		"without plugins":         {admissionHead, "privileged"},
		"inline":                  {admissionHead + "plugins: [" + standardsInOne + "]", "baseline"},
		"in a file beside":        {admissionHead + "plugins: [{name: PodSecurity, path: standards.yaml}]", "restricted"},
		"inline before a file":    {admissionHead + "plugins: [" + strings.Replace(standardsInOne, "name:", "path: standards.yaml, name:", 1) + "]", "baseline"},
		"of a plugin by defaults": {admissionHead + "plugins: [{name: PodSecurity}]", "privileged"},
		"of the version before":   {strings.Replace(admissionHead, "apiserver.config.k8s.io/v1", "apiserver.k8s.io/v1alpha1", 1) + "plugins: [" + standardsInOne + "]", "baseline"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := readSettings(t, test.text, restricted)
			if err != nil {
				t.Fatal(err)
			}
			if got := s.podSecurity.Defaults.Enforce.Level; got != test.want {
				t.Errorf("enforces %s, want %s", got, test.want)
			}
		})
	}
}

// TestAdmissionConfigurationRefuses guards against a configuration that is not what its author believes. Each error names flag, file and place.
func TestAdmissionConfigurationRefuses(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"no YAML":                         {"{", "admission.yaml: "},
		"another kind":                    {"apiVersion: v1\nkind: Pod\n", "it is v1 Pod, want apiserver.config.k8s.io/v1 AdmissionConfiguration"},
		"an unknown field":                {admissionHead + "plugin: []", `unknown field "plugin"`},
		"an unknown field of a plugin":    {admissionHead + "plugins: [{name: PodSecurity, file: x}]", `unknown field "plugins[0].file"`},
		"a field twice":                   {admissionHead + "kind: AdmissionConfiguration\n", `"kind" already set`},
		"a plugin that is none":           {admissionHead + "plugins: [{name: PodSecurty, configuration: {}}]", "plugins[0] PodSecurty: no such plugin"},
		"a plugin that is none, unset":    {admissionHead + "plugins: [{name: PodSecurty}]", "plugins[0] PodSecurty: no such plugin"},
		"a plugin twice":                  {admissionHead + "plugins: [{name: PodSecurity}, {name: PodSecurity}]", "plugins[1] PodSecurity: configured twice"},
		"a plugin without configuration":  {admissionHead + "plugins: [{name: Priority, configuration: {a: b}}]", "plugins[0] Priority: no configuration is read for this plugin"},
		"a file that is missing":          {admissionHead + "plugins: [{name: PodSecurity, path: gone.yaml}]", "plugins[0] PodSecurity: stat "},
		"a level that is none":            {admissionHead + "plugins: [{name: PodSecurity, path: standards.yaml}]", "must be one of privileged, baseline, restricted"},
		"a configuration of another kind": {admissionHead + "plugins: [{name: PodSecurity, configuration: {apiVersion: v1, kind: Pod}}]", "no kind"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := readSettings(t, test.text, standardsHead+"defaults: {enforce: basline}\n")
			if err == nil || !strings.HasPrefix(err.Error(), "--admission-control-config-file: ") || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v\nwant --admission-control-config-file: ...%s", err, test.want)
			}
		})
	}
	p := &parts{wiring: wiring{options: &flags.Options{AdmissionConfigFile: filepath.Join(t.TempDir(), "gone.yaml")}}}
	if err := p.makePluginSettings(t.Context()); err == nil || !strings.Contains(err.Error(), "gone.yaml") {
		t.Errorf("a missing file: %v", err)
	}
}

// TestEventRateLimitNeedsLimits guards against a plugin that is turned on and limits nothing.
func TestEventRateLimitNeedsLimits(t *testing.T) {
	p := &parts{wiring: wiring{options: &flags.Options{AdmissionOn: []string{"EventRateLimit"}}}}
	if err := p.makePluginSettings(t.Context()); err == nil || !strings.Contains(err.Error(), "--enable-admission-plugins=EventRateLimit") {
		t.Errorf("got %v", err)
	}
}

// TestEachPluginGetsItsConfiguration guards against one that is read and thrown away.
func TestEachPluginGetsItsConfiguration(t *testing.T) {
	s, err := readSettings(t, admissionHead+`plugins:
- {name: EventRateLimit, configuration: {apiVersion: eventratelimit.admission.k8s.io/v1alpha1, kind: Configuration, limits: [{type: Server, qps: 1, burst: 1}]}}
- {name: PodNodeSelector, configuration: {podNodeSelectorPluginConfig: {clusterDefaultNodeSelector: a=b}}}
- {name: PodTolerationRestriction, configuration: {apiVersion: podtolerationrestriction.admission.k8s.io/v1alpha1, kind: Configuration, default: [{key: k}]}}
`, "")
	if err != nil {
		t.Fatal(err)
	}
	if len(s.events) != 1 || s.selectors.Default["a"] != "b" || len(s.tolerations.Default) != 1 {
		t.Errorf("got %+v", s)
	}
}
