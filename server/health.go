package server

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Check is one named condition of health. A failing check is named to whoever may ask; its
// reason goes to the log only.
type Check struct {
	// Name is what the check is called in paths and texts; it is unique and may hold slashes.
	Name string
	// ReadyOnly keeps the check out of /livez and /healthz: its failure asks for no traffic, not for a restart.
	ReadyOnly bool
	// Run returns why the condition does not hold. It is called for every probe, so it must
	// answer from memory, and it must return when ctx ends.
	Run func(ctx context.Context) error
}

var errShuttingDown = errors.New("the server is shutting down")

// probes answers /healthz, /livez and /readyz.
type probes struct {
	server *Server
	checks []Check
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
	return &probes{server: s, checks: all}, nil
}

// of returns the checks behind one of the three paths, in order.
func (p *probes) of(probe string) []Check {
	if probe == "readyz" {
		return p.checks
	}
	return slices.DeleteFunc(slices.Clone(p.checks), func(c Check) bool { return c.ReadyOnly })
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
	if p.run(r.Context(), probe, checks[i]) != nil {
		writeText(w, http.StatusInternalServerError, "internal server error: reason withheld\n")
		return nil
	}
	writeText(w, http.StatusOK, "ok")
	return nil
}

func (p *probes) serveAll(w http.ResponseWriter, r *http.Request, probe string, checks []Check) error {
	query := r.URL.Query()
	excluded := query["exclude"]
	var unknown []string
	for _, name := range excluded {
		if !slices.ContainsFunc(checks, func(c Check) bool { return c.Name == name }) {
			unknown = append(unknown, fmt.Sprintf("%q", name))
		}
	}
	var lines strings.Builder
	failed := false
	for _, c := range checks {
		switch {
		case slices.Contains(excluded, c.Name):
			fmt.Fprintf(&lines, "[+]%s excluded: ok\n", c.Name)
		case p.run(r.Context(), probe, c) != nil:
			failed = true
			fmt.Fprintf(&lines, "[-]%s failed: reason withheld\n", c.Name)
		default:
			fmt.Fprintf(&lines, "[+]%s ok\n", c.Name)
		}
	}
	if len(unknown) > 0 {
		fmt.Fprintf(&lines, "warn: some health checks cannot be excluded: no matches for %s\n", strings.Join(unknown, ","))
	}
	_, verbose := query["verbose"]
	switch {
	case failed:
		writeText(w, http.StatusInternalServerError, lines.String()+probe+" check failed\n")
	case verbose:
		writeText(w, http.StatusOK, lines.String()+probe+" check passed\n")
	default:
		writeText(w, http.StatusOK, "ok")
	}
	return nil
}

func (p *probes) run(ctx context.Context, probe string, c Check) error {
	err := c.Run(ctx)
	if err != nil {
		p.server.cfg.Logger.Warn("health check failed", "probe", probe, "check", c.Name, "error", err)
	}
	return err
}

func writeText(w http.ResponseWriter, code int, text string) { write(w, typeText, code, []byte(text)) }

// writeNoPage is the answer for a path outside the API that nothing serves.
func writeNoPage(w http.ResponseWriter) { writeText(w, http.StatusNotFound, "404 page not found\n") }
