package webhook

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	admissionv1 "k8s.io/api/admission/v1"
	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Validating puts objects to the webhooks that validate. It is a Validator, to be asked after all that mutate.
type Validating struct {
	config  Config
	answers answers
	held    holder[*admissionregistrationv1.ValidatingWebhookConfiguration]
}

// NewValidating returns a validator with the webhooks of the source.
func NewValidating(c Config, s Source[*admissionregistrationv1.ValidatingWebhookConfiguration]) (*Validating, error) {
	d, err := newAnswers()
	if err != nil {
		return nil, err
	}
	v := &Validating{config: c, answers: d}
	v.held.config, v.held.source, v.held.list = &v.config, s, validatingOf
	return v, nil
}

func validatingOf(c *admissionregistrationv1.ValidatingWebhookConfiguration) []admissionregistrationv1.MutatingWebhook {
	list := make([]admissionregistrationv1.MutatingWebhook, len(c.Webhooks))
	for i, w := range c.Webhooks {
		list[i] = admissionregistrationv1.MutatingWebhook{
			Name: w.Name, ClientConfig: w.ClientConfig, Rules: w.Rules, FailurePolicy: w.FailurePolicy, MatchPolicy: w.MatchPolicy,
			NamespaceSelector: w.NamespaceSelector, ObjectSelector: w.ObjectSelector, SideEffects: w.SideEffects, TimeoutSeconds: w.TimeoutSeconds,
			AdmissionReviewVersions: w.AdmissionReviewVersions, MatchConditions: w.MatchConditions,
		}
	}
	return list
}

// asked is one webhook that is about the request, and what came of asking it.
type asked struct {
	*hook
	question *question
	response *admissionv1.AdmissionResponse
	took     time.Duration
	err      error
}

// Validate asks all webhooks that are about the request at once, and refuses with what the first of them in their order says.
func (v *Validating) Validate(ctx context.Context, a *admission.Attributes) error {
	hooks, err := v.held.relevant(a)
	if err != nil || len(hooks) == 0 {
		return err
	}
	if a, err = shown(a); err != nil {
		return err
	}
	list, err := v.about(ctx, a, hooks)
	if err != nil || len(list) == 0 {
		return err
	}
	if ctx.Err() != nil {
		return errTimeout()
	}
	v.askAll(ctx, list)
	var first error
	for i := range list {
		err := list[i].decide(a, i)
		v.config.count(list[i].hook, a, false, list[i].took, errors.Join(list[i].err, err))
		if err != nil && first == nil {
			first = err
		}
	}
	if first == nil && ctx.Err() != nil {
		return errTimeout()
	}
	return first
}

// shown is the request as the client made it.
func shown(a *admission.Attributes) (*admission.Attributes, error) {
	if a.Served == nil {
		return a, nil
	}
	c := *a
	var err error
	if c.Kind, c.Object, c.OldObject, err = a.Served(); err != nil {
		return nil, api.Internal(err)
	}
	return &c, nil
}

// about finds the webhooks that are about the request. Those that match it alike share what they are sent.
func (v *Validating) about(ctx context.Context, a *admission.Attributes, hooks []*hook) (list []asked, err error) {
	for _, h := range hooks {
		resource, kind, ok, err := h.matcher.Match(ctx, a)
		if err != nil {
			return nil, err
		}
		if !ok {
			continue
		}
		q, err := v.config.question(a, resource, kind)
		if err != nil {
			return nil, api.Internal(err)
		}
		list = append(list, asked{hook: h, question: q})
	}
	return list, nil
}

func (v *Validating) askAll(ctx context.Context, list []asked) {
	var wg sync.WaitGroup
	slots := make(chan struct{}, MaxParallel)
	for i := range list {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			list[i].ask(ctx, v)
		})
	}
	wg.Wait()
}

// ask ends with an error where it panics: the process has other requests.
func (q *asked) ask(ctx context.Context, v *Validating) {
	q.err = errPanic
	defer func() {
		if r := recover(); r != nil {
			q.err = api.Internal(fmt.Errorf("%w: %v", errPanic, r))
		}
	}()
	began := time.Now()
	q.response, q.err = v.config.ask(ctx, v.answers, q.hook, q.question, false)
	q.took = time.Since(began)
}

var errPanic = errors.New("asking an admission webhook panicked")

// decide is the refusal that follows from what came of asking.
func (q *asked) decide(a *admission.Attributes, index int) error {
	var call *callError
	switch {
	case errors.As(q.err, &call) && q.ignores():
		annotate(a, fmt.Sprintf("failed-open.validating.webhook.admission.k8s.io/round_0_index_%d", index), q.Name)
		return nil
	case q.err != nil:
		return refusal(q.err)
	}
	return q.heed(a, q.response)
}
