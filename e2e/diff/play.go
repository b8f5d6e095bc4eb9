package diff

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// LoadScenarios reads every *.txtar file of a directory.
func LoadScenarios(dir string) ([]*Scenario, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txtar"))
	if err != nil {
		return nil, fmt.Errorf("find scenarios: %w", err)
	}
	var all []*Scenario
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("read scenario: %w", err)
		}
		s, err := ParseScenario(strings.TrimSuffix(filepath.Base(file), ".txtar"), data)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, nil
}

// PlayAll runs scenarios at the same time, see Play, and returns the results in the order of the scenarios.
func (p *Pair) PlayAll(ctx context.Context, all []*Scenario, run string) ([]Result, error) {
	results := make([][]Result, len(all))
	errs := make([]error, len(all))
	var playing sync.WaitGroup
	for i, s := range all {
		playing.Go(func() { results[i], errs[i] = p.Play(ctx, s, run) })
	}
	playing.Wait()
	return slices.Concat(results...), errors.Join(errs...)
}

// Play runs a scenario on both servers, in a namespace of its own whose name is made of run and of the scenario's name.
func (p *Pair) Play(ctx context.Context, s *Scenario, run string) ([]Result, error) {
	vars := Vars{"ns": "s" + run + "-" + s.Name, "name": "s" + run + s.Name}
	if err := p.makeNamespace(ctx, vars["ns"]); err != nil {
		return nil, err
	}
	defer p.dropNamespace(context.WithoutCancel(ctx), vars["ns"])
	kube, ours := vars, maps.Clone(vars)
	var results []Result
	for steps := s.Steps; len(steps) > 0; {
		n := independent(steps)
		answered, err := p.together(ctx, s.Name, steps[:n], kube, ours)
		if err != nil {
			return nil, fmt.Errorf("scenario %s: %w", s.Name, err)
		}
		for i, result := range answered {
			steps[i].capture(result.Kube, kube)
			steps[i].capture(result.Ours, ours)
		}
		results = append(results, answered...)
		steps = steps[n:]
	}
	return results, nil
}

// independent returns how many steps from the first on can be taken at the same time: reads that keep nothing of the answer,
// or else one.
func independent(steps []Step) int {
	n := 0
	for n < len(steps) && steps[n].Request.Method == http.MethodGet && len(steps[n].Capture) == 0 {
		n++
	}
	return max(n, 1)
}

// together takes steps at the same time and returns the results in their order.
func (p *Pair) together(ctx context.Context, name string, steps []Step, kube, ours Vars) ([]Result, error) {
	results := make([]Result, len(steps))
	errs := make([]error, len(steps))
	limit := make(chan struct{}, max(1, p.Workers))
	var all sync.WaitGroup
	for i, step := range steps {
		limit <- struct{}{}
		all.Go(func() {
			defer func() { <-limit }()
			c := Case{
				Source: Scenarios, Kind: name, Behaviour: behaviour(step.Request), Name: step.Name, Request: step.Request, Differs: step.Differs,
			}
			var err error
			if results[i], err = p.askUntil(ctx, c, step, step.withRepeated(kube), step.withRepeated(ours)); err != nil {
				errs[i] = fmt.Errorf("step %q: %w", step.Name, err)
			}
		})
	}
	all.Wait()
	return results, errors.Join(errs...)
}

// How long and how often a step is repeated that waits.
const (
	patience = 10 * time.Second
	between  = 100 * time.Millisecond
)

// askUntil asks until the answers are those that the step waits for. The last answers are those that count.
func (p *Pair) askUntil(ctx context.Context, c Case, s Step, kube, ours Vars) (Result, error) {
	for end := time.Now().Add(patience); ; {
		r, err := p.ask(ctx, c, kube, ours)
		if err != nil || s.satisfied(r) || time.Now().After(end) {
			return r, err
		}
		select {
		case <-ctx.Done():
			return r, ctx.Err()
		case <-time.After(between):
		}
	}
}

// satisfied reports whether the step need not be repeated.
func (s *Step) satisfied(r Result) bool {
	code := s.Until == 0 || (r.Kube.Status == s.Until && r.Ours.Status == s.Until)
	return code && (!s.Eventually || r.Verdict == Equal || r.Verdict == Accepted)
}

// ask is Ask for a request whose body may have to be encoded as protobuf after its variables are replaced.
func (p *Pair) ask(ctx context.Context, c Case, kube, ours Vars) (Result, error) {
	const protobufType = "application/vnd.kubernetes.protobuf"
	yamlBody := strings.HasPrefix(string(c.Request.Body), "apiVersion:") || strings.HasPrefix(string(c.Request.Body), "kind:")
	if c.Request.Header.Get("Content-Type") != protobufType || !yamlBody {
		return p.Ask(ctx, c, kube, ours), nil
	}
	encoded := make([]Request, 2)
	for i, vars := range []Vars{kube, ours} {
		encoded[i] = c.Request.Expand(vars)
		body, err := encodeProtobuf(encoded[i].Body)
		if err != nil {
			return Result{}, err
		}
		encoded[i].Body = body
	}
	result := p.judge(c, p.Kube.Ask(ctx, encoded[0]), p.Ours.Ask(ctx, encoded[1]))
	return result, nil
}

func behaviour(r Request) string {
	if r.Method == http.MethodPatch {
		media, _, _ := strings.Cut(r.Header.Get("Content-Type"), "+")
		return "PATCH " + strings.TrimPrefix(media, "application/")
	}
	return r.Method
}

// withRepeated adds the repeated texts of the step, in which other variables are replaced too.
func (s *Step) withRepeated(vars Vars) Vars {
	for name, text := range s.repeat {
		vars = vars.With(name, vars.Expand(text))
	}
	return vars
}

// capture takes values out of an answer. A value that is not there is the empty text.
func (s *Step) capture(a Answer, vars Vars) {
	for name, at := range s.Capture {
		value, ok := at.get(a.Object)
		if !ok {
			vars[name] = ""
			continue
		}
		vars[name] = fmt.Sprint(value)
	}
}
