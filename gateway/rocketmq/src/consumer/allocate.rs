//! Which queues of a topic belong to which member of a group: as the classic clients share them by default
//! (`AllocateMessageQueueAveragely`), so that ours and theirs can be in one group. Pure.

/// The share of the member `own`. All members have to give the same `queues` and `members`, in the same order.
pub(super) fn share<'q, Q>(queues: &'q [Q], members: &[String], own: &str) -> &'q [Q] {
    let Some(index) = members.iter().position(|member| member == own) else { return &[] };
    let (Some(each), Some(rest)) =
        (queues.len().checked_div(members.len()), queues.len().checked_rem(members.len()))
    else {
        return &[];
    };
    // The first ones take one more, until nothing is left over.
    let from = index * each + index.min(rest);
    let count = each + usize::from(index < rest);
    queues.get(from..from + count).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn members(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("m{number:03}")).collect()
    }

    #[test]
    fn shares_are_those_of_the_classic_clients() {
        let queues: Vec<usize> = (0..8).collect();
        let shares = |count| -> Vec<Vec<usize>> {
            let members = members(count);
            members.iter().map(|own| share(&queues, &members, own).to_vec()).collect()
        };
        assert_eq!(shares(1), [vec![0, 1, 2, 3, 4, 5, 6, 7]]);
        assert_eq!(shares(2), [vec![0, 1, 2, 3], vec![4, 5, 6, 7]]);
        assert_eq!(shares(3), [vec![0, 1, 2], vec![3, 4, 5], vec![6, 7]]);
        assert_eq!(shares(9).iter().map(Vec::len).collect::<Vec<_>>(), [1, 1, 1, 1, 1, 1, 1, 1, 0]);
        assert!(share(&queues, &members(2), "somebody else").is_empty());
        assert!(share(&queues, &[], "m000").is_empty());
    }

    proptest! {
        #[test]
        fn each_queue_belongs_to_one(queues in 0_usize..40, count in 1_usize..40) {
            let queues: Vec<usize> = (0..queues).collect();
            let members = members(count);
            let all: Vec<usize> =
                members.iter().flat_map(|own| share(&queues, &members, own).to_vec()).collect();
            prop_assert_eq!(all, queues);
        }
    }
}
