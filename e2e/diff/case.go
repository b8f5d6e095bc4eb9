package diff

import (
	"context"
	"slices"
	"sync"
)

// The sources of requests.
const (
	Generated = "generated"
	Scenarios = "scenarios"
	Recorded  = "recorded"
)

// Case is one request in a run, with what reports count it under.
type Case struct {
	Source string
	// Kind is the name of a kind, or of the scenario.
	Kind string
	// Behaviour is what the request is about, such as "create: missing".
	Behaviour string
	Name      string
	Request   Request
	// Differs are the ids of the differences that are expected of this case alone.
	Differs []string
}

// Result is a case with both answers.
type Result struct {
	Case
	Kube, Ours Answer
	// Findings are all differences, Unaccepted those that nobody has accepted.
	Findings, Unaccepted []Finding
	Verdict              Verdict
	// Accepted are the ids of the accepted differences that were found.
	Accepted []string
}

// Pair is the two servers, and what is accepted of their differences.
type Pair struct {
	Kube, Ours *Target
	// Accept is the list of accepted differences; nil accepts none.
	Accept *AcceptList
	// IgnoreManaged leaves out differences of metadata.managedFields, IgnoreOrder those in the order of causes.
	IgnoreManaged, IgnoreOrder bool
	// Workers is how many requests are under way at a time; below 1 is 1.
	Workers int
}

// Ask sends one request to both at the same time, each with its own variables, and judges the answers.
func (p *Pair) Ask(ctx context.Context, c Case, kube, ours Vars) Result {
	var ourAnswer Answer
	done := make(chan struct{})
	go func() {
		defer close(done)
		ourAnswer = p.Ours.Ask(ctx, c.Request.Expand(ours))
	}()
	kubeAnswer := p.Kube.Ask(ctx, c.Request.Expand(kube))
	<-done
	c.Request = c.Request.Expand(kube)
	return p.judge(c, kubeAnswer, ourAnswer)
}

func (p *Pair) judge(c Case, kube, ours Answer) Result {
	r := Result{Case: c, Kube: kube, Ours: ours, Findings: Compare(kube, ours)}
	if p.IgnoreManaged {
		r.Findings = slices.DeleteFunc(r.Findings, Finding.managed)
	}
	r.Unaccepted, r.Accepted = p.Accept.split(c, r.Findings)
	r.Verdict = judge(r.Unaccepted, kube, ours)
	if r.Verdict == Equal && len(r.Findings) > 0 {
		r.Verdict = Accepted
	}
	if p.IgnoreOrder && r.Verdict == OrderOnly {
		r.Verdict = Equal
	}
	return r
}

// AskAll sends independent cases, several at a time, and returns the results in the order of the cases.
func (p *Pair) AskAll(ctx context.Context, cases []Case, kube, ours Vars) []Result {
	results := make([]Result, len(cases))
	next := make(chan int)
	var workers sync.WaitGroup
	for range max(1, p.Workers) {
		workers.Go(func() {
			for i := range next {
				results[i] = p.Ask(ctx, cases[i], kube, ours)
			}
		})
	}
	for i := range cases {
		next <- i
	}
	close(next)
	workers.Wait()
	return results
}
