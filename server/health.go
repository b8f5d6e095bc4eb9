package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
)

// Check is one named condition of health. A failing check is named to whoever may ask; its
// reason goes to the log only.
type Check struct {
	// Name is what the check is called in paths and texts; it is unique and may hold slashes.
	Name string
	// ReadyOnly keeps the check out of /livez and /healthz: its failure asks for no traffic, not for a restart.
	ReadyOnly bool
	// LiveOnly keeps the check out of /readyz.
	LiveOnly bool
	// Start marks what the start of the server has yet to bring about. /livez names such a check and does not wait for it: a restart would begin
	// from the beginning.
	Start bool
	// Run returns why the condition does not hold. It is called for every probe, so it must
	// answer from memory, and it must return when ctx ends.
	Run func(ctx context.Context) error
}

var errShuttingDown = errors.New("the server is shutting down")

// probes answers /healthz, /livez and /readyz.
type probes struct {
	server  *Server
	checks  []Check
	results healthMetrics
}

func newProbes(s *Server, checks []Check) (*probes, error) {
	all := append([]Check{{Name: "ping", Run: func(context.Context) error { return nil }}}, checks...)
	all = append(all, Check{Name: "shutdown", ReadyOnly: true, Run: func(context.Context) error {
		if s.draining.Load() {
			return errShuttingDown
		}
		return nil
	}})
	seen := make(map[string]bool, len(all))
	for _, c := range all {
		switch {
		case c.Name == "" || c.Run == nil:
			return nil, fmt.Errorf("server: health check %q needs a name and a function", c.Name)
		case seen[c.Name]:
			return nil, fmt.Errorf("server: health check %q is given twice", c.Name)
		}
		seen[c.Name] = true
	}
	results, err := newHealthMetrics()
	if err != nil {
		return nil, err
	}
	return &probes{server: s, checks: all, results: results}, nil
}

// of returns the checks behind one of the three paths, in order.
func (p *probes) of(probe string) []Check {
	ready := probe == "readyz"
	return slices.DeleteFunc(slices.Clone(p.checks), func(c Check) bool { return ready && c.LiveOnly || !ready && c.ReadyOnly })
}

// paths lists what is served.
func (p *probes) paths() []string {
	var paths []string
	for _, probe := range []string{"healthz", "livez", "readyz"} {
		paths = append(paths, "/"+probe)
		for _, c := range p.of(probe) {
			paths = append(paths, "/"+probe+"/"+c.Name)
		}
	}
	return paths
}

// serve answers one probe. A name after the path asks for that check alone.
func (p *probes) serve(w http.ResponseWriter, r *http.Request, path string) error {
	probe, name, single := strings.Cut(strings.TrimPrefix(path, "/"), "/")
	checks := p.of(probe)
	if !single {
		return p.serveAll(w, r, probe, checks)
	}
	i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		writeNoPage(w)
		return nil
	}
	if err := run(r.Context(), probe, checks[i]); err != nil {
		p.server.cfg.Logger.Warn("health check failed", "probe", probe, "check", name, "error", err)
		writeText(w, http.StatusInternalServerError, "internal server error: reason withheld\n")
		return nil
	}
	writeText(w, http.StatusOK, "ok")
	return nil
}

func (p *probes) serveAll(w http.ResponseWriter, r *http.Request, probe string, checks []Check) error {
	query := r.URL.Query()
	excluded := query["exclude"]
	var lines strings.Builder
	var failed []error
	for _, c := range checks {
		if slices.Contains(excluded, c.Name) {
			fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.Name)
			continue
		}
		err := run(r.Context(), probe, c)
		p.results.observe(probe, c.Name, err)
		if err != nil {
			failed = append(failed, fmt.Errorf("%s: %w", c.Name, err))
			fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", c.Name)
			continue
		}
		fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
	}
	if unknown := notNamed(excluded, checks); len(unknown) > 0 {
		fmt.Fprintf(&lines, "warn: some health checks cannot be excluded: no matches for %s\n", strings.Join(unknown, ","))
	}
	_, verbose := query["verbose"]
	switch {
	case len(failed) > 0:
		p.server.cfg.Logger.Warn("health checks failed", "probe", probe, "error", errors.Join(failed...))
		writeText(w, http.StatusInternalServerError, lines.String()+probe+" check failed\n")
	case verbose:
		writeText(w, http.StatusOK, lines.String()+probe+" check passed\n")
	default:
		writeText(w, http.StatusOK, "ok")
	}
	return nil
}

// notNamed returns, quoted and in order, the names that no check has.
func notNamed(names []string, checks []Check) []string {
	var unknown []string
	for _, name := range names {
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.Name == name }) {
			unknown = append(unknown, strconv.Quote(name))
		}
	}
	slices.Sort(unknown)
	return slices.Compact(unknown)
}

// run asks a check, unless the probe does not wait for it.
func run(ctx context.Context, probe string, c Check) error {
	if c.Start && probe == "livez" {
		return nil
	}
	return c.Run(ctx)
}

func writeText(w http.ResponseWriter, code int, text string) { write(w, typeText, code, []byte(text)) }

// writeNoPage is the answer for a path outside the API that nothing serves.
func writeNoPage(w http.ResponseWriter) { writeText(w, http.StatusNotFound, "404 page not found\n") }
