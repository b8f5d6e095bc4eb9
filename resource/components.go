//lint:file-ignore SA1019 ComponentStatus is deprecated for clients; a server has to serve it.

package resource

import (
	"context"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/gatehouse/gatehouse/api"
	"github.com/gatehouse/gatehouse/store"
)

// Component statuses are computed for each request and stored nowhere, so they have no resourceVersion and cannot be watched.

func (s *Service) getComponent(ctx context.Context, t *Type, name string) (Result, error) {
	for _, c := range s.Components {
		if c.Name == name {
			item, err := componentItem(ctx, t, c)
			return Result{Type: t, Item: item, Code: http.StatusOK}, err
		}
	}
	return Result{}, api.NotFound(t.GR(), name)
}

func (s *Service) listComponents(ctx context.Context, t *Type, info api.RequestInfo, o ListOptions) (*List, error) {
	l := &List{Type: t}
	for _, c := range s.Components {
		if (info.Name != "" && info.Name != c.Name) || (o.Labels != nil && !o.Labels.Matches(labels.Set{})) {
			continue
		}
		item, err := componentItem(ctx, t, c)
		if err != nil {
			return nil, err
		}
		l.Items = append(l.Items, item)
		l.Bytes += int64(len(item.JSON))
	}
	return l, nil
}

func componentItem(ctx context.Context, t *Type, c Component) (*store.Item, error) {
	condition := corev1.ComponentCondition{Type: corev1.ComponentHealthy, Status: corev1.ConditionTrue, Message: "ok"}
	if err := c.Check(ctx); err != nil {
		condition.Status, condition.Message = corev1.ConditionFalse, "it does not answer"
	}
	o := &corev1.ComponentStatus{ObjectMeta: metav1.ObjectMeta{Name: c.Name}, Conditions: []corev1.ComponentCondition{condition}}
	value, err := t.encodeValue(o)
	if err != nil {
		return nil, api.Internal(err)
	}
	item, err := t.newItem(c.Name, o, value, 0)
	if err != nil {
		return nil, api.Internal(err)
	}
	if draft, ok := store.NewDraft(item); ok {
		item = draft.Unsaved()
	}
	return item, nil
}
