package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"golang.org/x/sync/errgroup"
)

// loaders is how many requests fill a server at the same time.
const loaders = 8

// prepare makes the namespaces and gives the tokens' users every right through
// RBAC, so that authorization is part of what is measured.
func prepare(ctx context.Context, p *peer) error {
	cfg, err := p.server.Config()
	if err != nil {
		return err
	}
	api, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return fmt.Errorf("make client of %s: %w", p.name, err)
	}
	for _, name := range []string{benchNamespace, createSpace} {
		namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
		_, err := api.CoreV1().Namespaces().Create(ctx, namespace, metav1.CreateOptions{})
		if err != nil && !apierrors.IsAlreadyExists(err) {
			return fmt.Errorf("prepare %s: %w", p.name, err)
		}
	}
	binding := &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: benchUser},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
		Subjects: []rbacv1.Subject{
			{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: benchUser},
			{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: otherUser},
		},
	}
	_, err = api.RbacV1().ClusterRoleBindings().Create(ctx, binding, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("prepare %s: %w", p.name, err)
	}
	return nil
}

// generate makes the pods from nothing.
func generate(n int) []*corev1.Pod {
	pods := make([]*corev1.Pod, n)
	for i := range pods {
		pods[i] = newPod(i)
		pods[i].Status = newStatus(i)
	}
	return pods
}

// copyFrom reads the pods that a server has stored, with what it has added to
// them, so that another can be given the very same.
func copyFrom(ctx context.Context, p *peer) ([]*corev1.Pod, error) {
	body, err := p.client.read(ctx, call{method: http.MethodGet, path: podsPath})
	if err != nil {
		return nil, fmt.Errorf("copy pods of %s: %w", p.name, err)
	}
	var list corev1.PodList
	if err := json.Unmarshal(body, &list); err != nil {
		return nil, fmt.Errorf("copy pods of %s: %w", p.name, err)
	}
	pods := make([]*corev1.Pod, len(list.Items))
	for i := range list.Items {
		pod := &list.Items[i]
		pod.TypeMeta = metav1.TypeMeta{APIVersion: "v1", Kind: "Pod"}
		pod.UID, pod.ResourceVersion, pod.Generation, pod.CreationTimestamp = "", "", 0, metav1.Time{}
		pods[i] = pod
	}
	return pods, nil
}

// load stores pods through the API: one create and one status update each.
func load(ctx context.Context, p *peer, pods []*corev1.Pod) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(loaders)
	for _, pod := range pods {
		group.Go(func() error {
			body, err := json.Marshal(pod)
			if err != nil {
				return fmt.Errorf("encode %s: %w", pod.Name, err)
			}
			path := podsPath + "/" + pod.Name + "/status"
			if _, err := p.client.drain(ctx, call{method: http.MethodPost, path: podsPath, body: body, want: http.StatusCreated}); err != nil {
				return err
			}
			_, err = p.client.drain(ctx, call{method: http.MethodPut, path: path, body: body})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("load %s: %w", p.name, err)
	}
	return nil
}
