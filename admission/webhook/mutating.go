package webhook

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/gatehouse/gatehouse/admission"
	"github.com/gatehouse/gatehouse/api"
)

// Mutating changes objects as the webhooks that mutate say. It is a Mutator, to be asked after the built-in ones.
type Mutating struct {
	config  Config
	answers answers
	held    holder[*admissionregistrationv1.MutatingWebhookConfiguration]
}

// NewMutating returns a mutator with the webhooks of the source.
func NewMutating(c Config, s Source[*admissionregistrationv1.MutatingWebhookConfiguration]) (*Mutating, error) {
	d, err := newAnswers()
	if err != nil {
		return nil, err
	}
	m := &Mutating{config: c, answers: d}
	m.held.config, m.held.source = &m.config, s
	m.held.list = func(c *admissionregistrationv1.MutatingWebhookConfiguration) []admissionregistrationv1.MutatingWebhook {
		return c.Webhooks
	}
	return m, nil
}

// pluginName is the name under which a request keeps what this plugin knows of its first round.
const pluginName = "MutatingAdmissionWebhook"

// memory is what is known of the first round in the second.
type memory struct {
	last        runtime.Object  // as the webhooks left it
	invoked, do map[string]bool // webhooks to ask again if something changes; those to be asked again
}

// changed has all that were asked and want it asked again.
func (m *memory) changed() {
	for uid := range m.invoked {
		m.do[uid] = true
	}
	clear(m.invoked)
}

func errTimeout() error {
	return api.ToError(apierrors.NewTimeoutError("request did not complete within requested timeout", 0))
}

// Mutate asks the webhooks one after the other, each of which sees what those before it made. If one changes the object, all mutators get a second
// round, in which those webhooks that ask for it are asked again.
func (m *Mutating) Mutate(ctx context.Context, a *admission.Attributes) error {
	hooks, err := m.held.relevant(a)
	if err != nil || len(hooks) == 0 {
		return err
	}
	known, _ := a.Kept(pluginName).(*memory)
	if known == nil {
		known = &memory{invoked: map[string]bool{}, do: map[string]bool{}}
		a.Keep(pluginName, known)
	}
	if a.SecondRound() && !apiequality.Semantic.DeepEqual(known.last, a.Object) {
		known.changed()
	}
	for i, h := range hooks {
		if err := m.invoke(ctx, a, h, i, known); err != nil {
			return err
		}
	}
	if a.Object != nil {
		known.last = a.Object.DeepCopyObject()
	}
	return nil
}

// invoke asks one webhook if it is about the request.
func (m *Mutating) invoke(ctx context.Context, a *admission.Attributes, h *hook, index int, known *memory) error {
	seen, err := shown(a)
	if err != nil {
		return err
	}
	resource, kind, ok, err := h.matcher.Match(ctx, seen)
	if err != nil || !ok || (a.SecondRound() && !known.do[h.uid]) {
		return err
	}
	q, err := m.config.question(seen, resource, kind)
	if err != nil {
		return api.Internal(err)
	}
	began := time.Now()
	changed, err := m.change(ctx, a, h, q)
	m.config.count(h, a, true, time.Since(began), err)
	round := 0
	if a.SecondRound() {
		round = 1
	}
	at := fmt.Sprintf("round_%d_index_%d", round, index)
	h.annotateMutation(a, at, changed)
	if changed {
		known.changed()
		a.AskAgain()
	}
	if h.ReinvocationPolicy != nil && *h.ReinvocationPolicy == admissionregistrationv1.IfNeededReinvocationPolicy {
		known.invoked[h.uid] = true
	}
	var call *callError
	if !errors.As(err, &call) || !h.ignores() {
		if err != nil {
			return refusal(err)
		}
		return nil
	}
	annotate(a, "failed-open.mutation.webhook.admission.k8s.io/"+at, h.Name)
	if ctx.Err() != nil {
		return errTimeout()
	}
	return nil
}

func (h *hook) annotateMutation(a *admission.Attributes, at string, mutated bool) {
	value, err := json.Marshal(struct {
		Configuration string `json:"configuration"`
		Webhook       string `json:"webhook"`
		Mutated       bool   `json:"mutated"`
	}{h.configuration, h.Name, mutated})
	if err == nil {
		annotate(a, "mutation.webhook.admission.k8s.io/"+at, string(value))
	}
}

// change asks the webhook and applies its patch, and reports whether that changed anything.
func (m *Mutating) change(ctx context.Context, a *admission.Attributes, h *hook, q *question) (bool, error) {
	r, err := m.config.ask(ctx, m.answers, h, q, true)
	if err != nil {
		return false, err
	}
	if err := h.heed(a, r); err != nil || len(r.Patch) == 0 {
		return false, err
	}
	patch, err := decodePatch(r.Patch)
	if err != nil {
		return false, &callError{h.Name, fmt.Errorf("received undecodable patch in webhook response: %w", err)}
	}
	switch {
	case len(patch) == 0:
		return false, nil
	case q.object == nil:
		err := fmt.Errorf("admission webhook %q attempted to modify the object, which is not supported for this operation", h.Name)
		return false, apierrors.NewInternalError(err)
	case *r.PatchType != "JSONPatch":
		return false, &callError{h.Name, fmt.Errorf("unsupported patch type %q", *r.PatchType)}
	case a.Served != nil:
		err := fmt.Errorf("admission webhook %q attempted to modify a %s, which is not supported yet", h.Name, q.kind.Kind)
		return false, apierrors.NewInternalError(err)
	}
	changed, err := m.apply(a, q, patch)
	if err != nil {
		return false, apierrors.NewInternalError(err)
	}
	return changed, nil
}
