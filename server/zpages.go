package server

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/munnerz/goautoneg"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

// The pages /flagz and /statusz show an operator what the process runs with and since when. They are for eyes, as text, or structured in the
// group config.k8s.io; authorization decides who may see them, as about every path.

const (
	zpagesGroup   = "config.k8s.io"
	zpagesVersion = "v1beta1"
	zpagesName    = "apiserver"
	zpagesWarning = "\nWarning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees and is for debugging purposes only.\n"
)

// flagz is config.k8s.io/v1beta1 Flagz.
type flagz struct {
	metav1.TypeMeta `json:",inline"`
	Metadata        namedMeta         `json:"metadata"`
	Flags           map[string]string `json:"flags,omitempty"`
}

// statusz is config.k8s.io/v1beta1 Statusz.
type statusz struct {
	metav1.TypeMeta  `json:",inline"`
	Metadata         namedMeta   `json:"metadata"`
	StartTime        metav1.Time `json:"startTime"`
	UptimeSeconds    int64       `json:"uptimeSeconds"`
	GoVersion        string      `json:"goVersion"`
	BinaryVersion    string      `json:"binaryVersion"`
	EmulationVersion string      `json:"emulationVersion,omitempty"`
	Paths            []string    `json:"paths,omitempty"`
}

type namedMeta struct {
	Name string `json:"name"`
}

// addZPages adds both. The flags are those of the configuration and do not change.
func (s *Server) addZPages() {
	flags, started := s.cfg.Flags, time.Now()
	s.pages["/flagz"] = func(w http.ResponseWriter, r *http.Request) error {
		return serveZPage(w, r, "Flagz", func() string { return flagzText(flags) }, func(meta metav1.TypeMeta) any {
			return flagz{TypeMeta: meta, Metadata: namedMeta{zpagesName}, Flags: flags}
		})
	}
	s.pages["/statusz"] = func(w http.ResponseWriter, r *http.Request) error {
		now := s.status(started)
		return serveZPage(w, r, "Statusz", now.text, func(meta metav1.TypeMeta) any {
			now.TypeMeta = meta
			return now
		})
	}
}

func (s *Server) status(started time.Time) statusz {
	version := strings.TrimPrefix(s.cfg.Version.GitVersion, "v")
	binary, _, _ := strings.Cut(version, "-")
	return statusz{
		Metadata: namedMeta{zpagesName}, StartTime: metav1.NewTime(started), UptimeSeconds: int64(time.Since(started).Seconds()),
		GoVersion: runtime.Version(), BinaryVersion: binary, EmulationVersion: s.cfg.Version.Major + "." + s.cfg.Version.Minor,
		Paths: []string{"/flagz", "/healthz", "/livez", "/metrics", "/readyz", "/statusz", "/version"},
	}
}

// serveZPage answers in the form that the client prefers of those there are; without a preference with text.
func serveZPage(w http.ResponseWriter, r *http.Request, kind string, text func() string, object func(metav1.TypeMeta) any) error {
	accept := r.Header.Get("Accept")
	if accept == "" {
		accept = "*/*"
	}
	if len(accept) > maxAccept {
		return notAcceptable(false)
	}
	for _, clause := range goautoneg.ParseAccept(accept) {
		structured := clause.Params["g"] == zpagesGroup && clause.Params["v"] == zpagesVersion && clause.Params["as"] == kind
		switch media := clause.Type + "/" + clause.SubType; {
		case media == "text/plain", media == "text/*", media == "*/*":
			writeText(w, http.StatusOK, text())
			return nil
		case structured && (media == mediaJSON || media == mediaYAML):
			return writeZPage(w, media, kind, object(metav1.TypeMeta{Kind: kind, APIVersion: zpagesGroup + "/" + zpagesVersion}))
		}
	}
	return notAcceptable(false)
}

func writeZPage(w http.ResponseWriter, media, kind string, object any) error {
	body, err := json.MarshalIndent(object, "", "  ")
	if err == nil && media == mediaYAML {
		body, err = yaml.Marshal(object)
	}
	if err != nil {
		return fmt.Errorf("server: encode %s: %w", kind, err)
	}
	write(w, fmt.Sprintf("%s;g=%s;v=%s;as=%s", media, zpagesGroup, zpagesVersion, kind), http.StatusOK, body)
	return nil
}

func flagzText(flags map[string]string) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\n%s flagz%s", zpagesName, zpagesWarning)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		fmt.Fprintf(&b, "%s=%s\n", name, flags[name])
	}
	return b.String()
}

func (z statusz) text() string {
	up := time.Duration(z.UptimeSeconds) * time.Second
	return fmt.Sprintf("\n%s statusz%s\nStarted= %s\nUp= %d hr %02d min %02d sec\nGo version= %s\nBinary version= %s\nEmulation version= %s\nPaths= %s\n",
		zpagesName, zpagesWarning, z.StartTime.UTC().Format(time.UnixDate), int(up.Hours()), int(up.Minutes())%60, int(up.Seconds())%60,
		z.GoVersion, z.BinaryVersion, z.EmulationVersion, strings.Join(z.Paths, " "))
}
